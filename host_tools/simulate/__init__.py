"""The agent's unchanged core, driven through years of faults by a simulated clock, from a seed."""
