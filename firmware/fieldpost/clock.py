"""Uptime that never wraps, and the time of day once somebody has told it.

Ticks of a 32-bit board wrap after 12 days; the differences are summed here as they pass.
"""

from fieldpost.compat import ticks_diff


class Clock:
    """Uptime in ms since `start_ticks`, and UTC when known. Reads no clock itself: ticks are handed in."""

    def __init__(self, start_ticks):
        self._ticks = start_ticks
        self._utc_offset = None
        self.uptime_ms = 0

    def advance(self, ticks):
        """Take the present value of the tick counter; return the uptime in ms."""
        self.uptime_ms += ticks_diff(ticks, self._ticks)
        self._ticks = ticks
        return self.uptime_ms

    def learn(self, utc_ms):
        """Note that it is now `utc_ms` (ms since 1970)."""
        self._utc_offset = utc_ms - self.uptime_ms

    def utc_ms(self):
        """Return the time of day in ms since 1970, or None if this boot has not learned it."""
        return None if self._utc_offset is None else self._utc_offset + self.uptime_ms
