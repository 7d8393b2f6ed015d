"""Rings read where they lie: a Raspberry Pi's queue file, or the image of a board's flash."""
