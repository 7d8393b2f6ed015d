"""How much of a board's time its host took: what a watchdog must not blame on the program.

A busy machine lets a process wait for a processor, and the kernel counts that (Linux, sched-stats.rst). So it does with
what the host of a virtual machine takes from all of it. Both are read when a watchdog is looked at, every few seconds,
and not when it is fed: so what is told may be too much by the starvation between the look before the feed and the feed,
and a watchdog that late by it. It is never too little.
"""

import os

from host_tools.emulator.process import schedule, stolen_s


class Starvation:
    """Of one run of an interpreter that begins now."""

    def __init__(self, now_ms: int) -> None:
        self._looked_ms = now_ms
        self._total_s = _own_s()  # at the last look
        self._before_feed_s = self._total_s  # at the last look before the last feed

    def since(self, feed_ms: int, now_ms: int, board_s: float) -> int:
        """Return for how many ms since the last feed, at `feed_ms`, the board got no processor, at the most.

        board_s: for how long its process has waited for one since its start. This process counts too: the board may
        be waiting for its answer.
        """
        if feed_ms > self._looked_ms:
            self._before_feed_s = self._total_s
        self._looked_ms = now_ms
        self._total_s = taken_s(board_s)
        return min(now_ms - feed_ms, int((self._total_s - self._before_feed_s) * 1000))


def taken_s(board_s: float) -> float:
    """Return for how many seconds this machine has kept a board from going on, at the most; see Starvation.since."""
    return board_s + _own_s()


def _own_s() -> float:
    return schedule(os.getpid())[1] + stolen_s()
