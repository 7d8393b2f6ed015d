"""What Adafruit's drivers ask of `busio`, over machine.I2C.

Implements the calls of CircuitPython's busio.I2C that adafruit_bus_device uses; errors of the bus stay
OSError, which is how the drivers tell an absent device.
"""


class I2C:
    """A CircuitPython I2C bus over a machine.I2C (or anything with its methods)."""

    def __init__(self, machine_i2c):
        self._i2c = machine_i2c
        self._locked = False

    def try_lock(self):
        """Take the bus; return whether it was free."""
        if self._locked:
            return False
        self._locked = True
        return True

    def unlock(self):
        """Give the bus back."""
        self._locked = False

    def scan(self):
        """Return the addresses that answer."""
        return self._i2c.scan()

    def writeto(self, address, buffer, *, start=0, end=None):
        """Write buffer[start:end]; OSError if nothing acknowledges."""
        self._i2c.writeto(address, _part(buffer, start, end))

    def readfrom_into(self, address, buffer, *, start=0, end=None):
        """Fill buffer[start:end]; OSError if nothing acknowledges."""
        self._i2c.readfrom_into(address, _part(buffer, start, end))

    def writeto_then_readfrom(
        self, address, out_buffer, in_buffer, *, out_start=0, out_end=None, in_start=0, in_end=None
    ):
        """Write, then read after a repeated start."""
        self._i2c.writeto(address, _part(out_buffer, out_start, out_end), False)
        self._i2c.readfrom_into(address, _part(in_buffer, in_start, in_end))


class SPI:
    """Named by the drivers' imports; boards of fieldpost use I2C."""


def _part(buffer, start, end):
    return memoryview(buffer)[start : len(buffer) if end is None else end]
