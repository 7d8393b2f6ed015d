"""What the contestants run: on MicroPython, or in an environment of their own."""
