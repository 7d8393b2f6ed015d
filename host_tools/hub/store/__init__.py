"""What the hub keeps: one SQLite file, one thread that writes it."""
