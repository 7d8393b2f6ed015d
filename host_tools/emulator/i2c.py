"""An I2C bus: addresses, acknowledgements, and the ways in which a bus fails (NXP UM10204, section 3.1)."""

import errno
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

    is_stuck: a device holds SDA low; every transfer times out until it is cleared.
    """

    def __init__(self) -> None:
        self.is_stuck = False
        self.transfers = 0
        self._devices: dict[int, Device] = {}

    def attach(self, address: int, device: Device) -> None:
        """Solder `device` to the bus at a 7-bit address."""
        self._devices[address] = device

    def detach(self, address: int) -> None:
        """Take the device off; its address is not acknowledged any more."""
        self._devices.pop(address, None)

    def transfer(self, address: int, data: bytes | None, read_length: int) -> bytes:
        """Write `data` (None: no write), then read; return what was read. NotAcknowledged if nothing answers."""
        self.transfers += 1
        if self.is_stuck:
            raise NotAcknowledged(errno.ETIMEDOUT)
        device = self._devices.get(address)
        if device is None:
            raise NotAcknowledged(errno.ENODEV)
        if data is not None:
            device.write(data)
        return device.read(read_length) if read_length else b""
