"""What hangs on an I2C bus, seen byte by byte, joined to the emulator's devices, which know whole transfers."""

from host_tools.emulator.i2c import I2cWires, NotAcknowledged


class I2cTarget:
    """One master's view of `wires`: addressed, written to and read from one byte at a time."""

    def __init__(self, wires: I2cWires) -> None:
        self._wires = wires
        self._address = 0
        self._written = bytearray()

    def begin(self) -> None:
        """Begin or repeat a start condition; what was written before it counts as one transfer."""
        self.end()

    def address(self, address: int) -> bool:
        """Return whether anything acknowledges the 7-bit `address`."""
        self._address = address
        return self._transfer(b"", 0) is not None

    def write(self, value: int) -> bool:
        """Take one byte; return whether it is acknowledged."""
        self._written.append(value)
        return True

    def read(self) -> int:
        """Return the next byte."""
        data = self._transfer(None, 1)
        return 0xFF if data is None else data[0]

    def end(self) -> None:
        """Stop: hand over what was written."""
        if self._written:
            data, self._written = bytes(self._written), bytearray()
            self._transfer(data, 0)

    def _transfer(self, data: bytes | None, length: int) -> bytes | None:
        try:
            return self._wires.transfer(self._address, data, length)
        except NotAcknowledged:
            return None
