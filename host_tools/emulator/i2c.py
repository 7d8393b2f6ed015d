"""An I2C bus: addresses, acknowledgements, and the ways in which a bus fails (NXP UM10204, section 3.1)."""

import errno
from collections.abc import Callable
from typing import Protocol


class Device(Protocol):
    """What hangs on a bus."""

    def write(self, data: bytes) -> None:
        """Take the bytes of a write transfer; none for a mere probe of the address."""

    def read(self, length: int) -> bytes:
        """Return exactly `length` bytes."""


class NotAcknowledged(Exception):
    """Nothing on the bus answered: absent address, or the bus is stuck. `number` is the errno for the program."""

    def __init__(self, number: int) -> None:
        super().__init__(errno.errorcode.get(number, str(number)))
        self.number = number


class I2cWires:
    """The wires of one bus and what is soldered to them.

    changed: called when the bus is no longer what it was.
    """

    def __init__(self, changed: Callable[[], object] = lambda: None) -> None:
        self._is_stuck = False
        self._devices: dict[int, Device] = {}
        self._changed = changed

    @property
    def is_stuck(self) -> bool:
        """Whether a device holds SDA low; every transfer times out until that is cleared."""
        return self._is_stuck

    @is_stuck.setter
    def is_stuck(self, is_stuck: bool) -> None:
        self._is_stuck = is_stuck
        self._changed()

    def attach(self, address: int, device: Device) -> None:
        """Solder `device` to the bus at a 7-bit address."""
        self._devices[address] = device
        self._changed()

    def detach(self, address: int) -> None:
        """Take the device off; its address is not acknowledged any more."""
        self._devices.pop(address, None)
        self._changed()

    def transfer(self, address: int, data: bytes | None, read_length: int) -> bytes:
        """Write `data` (None: no write), then read; return what was read. NotAcknowledged if nothing answers."""
        if self.is_stuck:
            raise NotAcknowledged(errno.ETIMEDOUT)
        device = self._devices.get(address)
        if device is None:
            raise NotAcknowledged(errno.ENODEV)
        if data is not None:
            device.write(data)
        return device.read(read_length) if read_length else b""
