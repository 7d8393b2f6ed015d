"""fieldpost: an agent that loses no reading, on MicroPython boards and on CPython."""

__version__ = "0.1.0"
