"""The host's end of the chip's USB console.

rp2040py answers every read of the chip at once, with nothing if there is nothing, which keeps the chip busy with
empty packets: it would never sleep. A real host answers when it has something to say (USB 2.0, section 8.4.5, NAK).
"""

from collections.abc import Callable
from typing import Any


class UsbConsole:
    """Joins `device` (rp2040py's BaseDevice) to `on_output`, which takes what the program prints."""

    def __init__(self, device: Any, on_output: Callable[[bytes], object]) -> None:
        self._cdc = device.cdc
        self._usb = device.mcu.usb_ctrl
        self._answer: Callable[[int, int], object] = self._usb.on_endpoint_read
        self._usb.on_endpoint_read = self._asked
        self._cdc.on_serial_data = lambda data: on_output(bytes(data))
        self._input = bytearray()
        self._waiting: tuple[int, int] | None = None

    def send(self, data: bytes) -> None:
        """Send `data` to the program, as fast as it takes it."""
        self._input += data
        if self._waiting is not None and self._input:
            waiting, self._waiting = self._waiting, None
            self._asked(*waiting)

    def forget(self) -> None:
        """Drop what has not been taken: the chip is being reset."""
        self._input.clear()
        self._waiting = None

    def close(self) -> None:
        """Take and give nothing any more."""
        self.forget()
        self._cdc.on_serial_data = None

    def _asked(self, endpoint: int, size: int) -> None:
        """The chip offers a buffer of `size` bytes; endpoint 0 is for control, and answered at once."""
        if endpoint:
            fifo = self._cdc.tx_fifo
            room = max(0, fifo.size - fifo.item_count)
            for value in self._input[:room]:
                self._cdc.send_serial_byte(value)
            del self._input[:room]
            if not fifo.item_count:
                self._waiting = (endpoint, size)
                return
        self._answer(endpoint, size)
