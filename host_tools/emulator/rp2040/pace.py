"""Runs the chip, never ahead of our clock: a hub is no use to a board for which a second passes in a millisecond.

Asleep, the chip would jump from alarm to alarm; so an alarm of ours ends each stretch, and what is ahead is waited for.
Computing, it is slower than we are, and its clock falls behind: that is not made up for.
"""

import asyncio
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

_STRETCH_NANOSECONDS = 10_000_000
_NANOSECONDS = 1e9
_INSTRUCTIONS = 20_000  # some ms of ours: whoever else is in the loop waits for no more


class Pace:
    """Takes over the running of `device` (rp2040py's BaseDevice); `end` ends it for good.

    room: the compiled loop (quick.py), None for rp2040py's own.
    """

    def __init__(self, device: Any, room: ModuleType | None) -> None:
        self._simulator = device.simulator
        self._simulator.execute = self._run  # what rp2040py's own start makes a task of
        self._alarm = self._simulator.clock.create_alarm(self._pause)
        self._is_ended = False
        self._room: Any = room.EngineRoom(device.mcu) if room is not None else None
        self._some: Callable[[], object] = self._some_quick if room is not None else self._some_as_it_came

    def end(self) -> None:
        """Stop, now: not one instruction more."""
        self._is_ended = True
        self._pause()

    def _pause(self) -> None:
        self._simulator.stopped = True  # ends the batch of instructions; `_run` begins the next
        if self._room is not None:
            self._room.stopped = True

    async def _run(self) -> None:
        simulator = self._simulator
        behind_s = time.monotonic() - self._chip_s()
        try:
            while not self._is_ended:
                simulator.stopped = False
                self._alarm.schedule(_STRETCH_NANOSECONDS)
                self._some()
                ahead_s = self._chip_s() + behind_s - time.monotonic()
                if ahead_s < 0:
                    behind_s -= ahead_s
                await asyncio.sleep(max(0.0, ahead_s))
        except Exception as error:
            simulator.engine_room_error = error  # whoever waits for the chip is told by rp2040py
            raise
        finally:
            simulator.stopped = True

    def _some_quick(self) -> None:
        self._room.stopped = False
        self._room.run(_INSTRUCTIONS)

    def _some_as_it_came(self) -> None:
        from rp2040py.execute_batch import execute_batch

        execute_batch(self._simulator, 1)

    def _chip_s(self) -> float:
        return float(self._simulator.clock.nanos) / _NANOSECONDS
