"""What arrives through outages and power cuts: fieldpost beside what people write without it."""
