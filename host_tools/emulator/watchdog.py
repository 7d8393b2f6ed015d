"""The hardware watchdog of an emulated chip: resets it when the program has not fed it in time.

Time in which this machine was too busy to run the chip, or us, does not count: its program does not hang, and a restart
would be more work.
"""

import asyncio
import time
from collections.abc import Callable

from host_tools.emulator.registers import Registers
from host_tools.emulator.starvation import Starvation


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Watchdog:
    """Looks at the last feed in `registers` when that could be too long ago; calls `reset()` if it is.

    starved_seconds: callable, for how long this run of the chip could have gone on, had the machine not been busy.
    """

    def __init__(self, registers: Registers, starved_seconds: Callable[[], float], reset: Callable[[], object]) -> None:
        self._registers = registers
        self._starved_seconds = starved_seconds
        self._reset = reset
        self._starvation = Starvation(_now_ms())
        self._timeout_ms = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Another run of the chip begins."""
        self._starvation = Starvation(_now_ms())

    def start(self, timeout_ms: int) -> None:
        """Begin to look, or go on with another time; 0 ends it."""
        self.stop()
        self._timeout_ms = timeout_ms
        if timeout_ms:
            self._look()

    def stop(self) -> None:
        """Look no more: the chip has no power, or is being reset."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now_ms = _now_ms()
        feed_ms = self._registers.last_feed_ms(now_ms)
        starved_ms = self._starvation.since(feed_ms, now_ms, self._starved_seconds())
        left_ms = feed_ms + self._timeout_ms + starved_ms - now_ms
        if left_ms <= 0:
            self._reset()
        else:
            self._timer = asyncio.get_running_loop().call_later(left_ms / 1000, self._look)
