"""Runs the chip, never ahead of our clock: a hub is no use to a board for which a second passes in a millisecond.

Asleep, the chip would jump from alarm to alarm; so an alarm of ours ends each stretch, and what is ahead is waited for.
Computing, it is slower than we are, and its clock falls behind: that is not made up for.
"""

import asyncio
import time
from typing import Any

_STRETCH_NANOSECONDS = 10_000_000
_NANOSECONDS = 1e9


class Pace:
    """Takes over the running of `device` (rp2040py's BaseDevice); `end` ends it for good."""

    def __init__(self, device: Any) -> None:
        self._simulator = device.simulator
        self._simulator.execute = self._run  # what rp2040py's own start makes a task of
        self._alarm = self._simulator.clock.create_alarm(self._pause)
        self._is_ended = False

    def end(self) -> None:
        """Stop, now: not one instruction more."""
        self._is_ended = True
        self._simulator.stopped = True

    def _pause(self) -> None:
        self._simulator.stopped = True  # ends the batch of instructions; `_run` begins the next

    async def _run(self) -> None:
        from rp2040py.execute_batch import execute_batch

        simulator = self._simulator
        behind_s = time.monotonic() - self._chip_s()
        try:
            while not self._is_ended:
                simulator.stopped = False
                self._alarm.schedule(_STRETCH_NANOSECONDS)
                execute_batch(simulator, 1)
                ahead_s = self._chip_s() + behind_s - time.monotonic()
                if ahead_s < 0:
                    behind_s -= ahead_s
                await asyncio.sleep(max(0.0, ahead_s))
        except Exception as error:
            simulator.engine_room_error = error  # whoever waits for the chip is told by rp2040py
            raise
        finally:
            simulator.stopped = True

    def _chip_s(self) -> float:
        return float(self._simulator.clock.nanos) / _NANOSECONDS
