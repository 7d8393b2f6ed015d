"""What hangs on an emulated I2C controller, byte by byte, joined to the emulator's devices, transfer by transfer."""

from typing import Any

from host_tools.emulator.i2c import I2cWires, NotAcknowledged


class I2cBus:
    """Wires `wires` to a controller with the hooks and completions of rp2040py's RPI2C."""

    def __init__(self, controller: Any, wires: I2cWires) -> None:
        self._controller = controller
        self._wires = wires
        self._address = 0
        self._written = bytearray()
        controller.on_start = self._start
        controller.on_connect = self._connect
        controller.on_write_byte = self._write
        controller.on_read_byte = self._read
        controller.on_stop = self._stop

    def _start(self, is_repeated: bool) -> None:
        self._hand_over()
        self._controller.complete_start()

    def _connect(self, address: int, mode: int) -> None:
        self._address = address & 0x7F
        self._controller.complete_connect(self._transfer(b"", 0) is not None)

    def _write(self, value: int) -> None:
        self._written.append(value)
        self._controller.complete_write(True)

    def _read(self, ack: bool) -> None:
        data = self._transfer(None, 1)
        self._controller.complete_read(0xFF if data is None else data[0])

    def _stop(self) -> None:
        self._hand_over()
        self._controller.complete_stop()

    def _hand_over(self) -> None:
        """Give the device what was written, which counts as one transfer."""
        if self._written:
            data, self._written = bytes(self._written), bytearray()
            self._transfer(data, 0)

    def _transfer(self, data: bytes | None, length: int) -> bytes | None:
        try:
            return self._wires.transfer(self._address, data, length)
        except NotAcknowledged:
            return None
