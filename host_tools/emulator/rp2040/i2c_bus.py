"""The bus behind one of the chip's I2C controllers."""

from typing import Any

from host_tools.emulator.i2c import I2cWires
from host_tools.emulator.rp2040.i2c_target import I2cTarget


class I2cBus:
    """Wires `wires` to a controller with the hooks and completions of rp2040py's RPI2C."""

    def __init__(self, controller: Any, wires: I2cWires) -> None:
        self._controller = controller
        self._target = I2cTarget(wires)
        controller.on_start = self._start
        controller.on_connect = self._connect
        controller.on_write_byte = self._write
        controller.on_read_byte = self._read
        controller.on_stop = self._stop

    def _start(self, is_repeated: bool) -> None:
        self._target.begin()
        self._controller.complete_start()

    def _connect(self, address: int, mode: int) -> None:
        self._controller.complete_connect(self._target.address(address & 0x7F))

    def _write(self, value: int) -> None:
        self._controller.complete_write(self._target.write(value))

    def _read(self, ack: bool) -> None:
        self._controller.complete_read(self._target.read())

    def _stop(self) -> None:
        self._target.end()
        self._controller.complete_stop()
