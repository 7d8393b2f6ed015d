"""Uptime that never wraps, and the time of day once somebody has told it.

Ticks of a 32-bit board wrap after 12 days; the differences are summed here as they pass.

Time servers prove nothing (RFC 5905 without authentication). What one says is believed once a second one agrees, and
refused if it is before this firmware was made, or more than a day before a time that a verified connection has
confirmed. Where none answers, that confirmed time stands in for the judging of certificates: it is too early, never
too late.
"""

from fieldpost.compat import ticks_diff
from fieldpost.limits import CLOCK_AGREE_MS, SIGN_AHEAD_MS, STEP_BACK_MS_MAX, UTC_MS_MIN


class Clock:
    """Uptime in ms since `start_ticks`, and UTC when known. Reads no clock itself: ticks are handed in.

    set_time_ms: callable, sets the machine's own clock (UTC, ms), which its TLS library goes by; None leaves it alone.
    """

    def __init__(self, start_ticks, set_time_ms=None):
        self._ticks = start_ticks
        self._set_time_ms = set_time_ms
        self._utc_offset = None
        self._doubted_offset = None  # what one has said, and nobody else yet
        self._confirmed_offset = None
        self._is_confirmed_used = False
        self.is_agreed = False  # whether two have said what is believed
        self.uptime_ms = 0

    def advance(self, ticks):
        """Take the present value of the tick counter; return the uptime in ms."""
        self.uptime_ms += ticks_diff(ticks, self._ticks)
        self._ticks = ticks
        return self.uptime_ms

    def begin_at(self, utc_ms):
        """Note a time that an earlier boot has confirmed; 0 for none."""
        if utc_ms:
            self._confirmed_offset = utc_ms - self.uptime_ms

    def learn(self, utc_ms):
        """Take what a time server says, ms since 1970; return whether it is believed. ValueError if it cannot be so.

        It is believed if it agrees with what is believed already, or with what was said last.
        """
        if utc_ms < UTC_MS_MIN:
            raise ValueError("it is before this firmware was made")
        confirmed = self._confirmed_offset
        offset = utc_ms - self.uptime_ms
        if confirmed is not None and offset < confirmed - STEP_BACK_MS_MAX:
            raise ValueError("it is more than a day before a time that has passed")
        for known in (self._utc_offset, self._doubted_offset):
            if known is not None and abs(offset - known) <= CLOCK_AGREE_MS:
                self.is_agreed = True
                self._believe(offset)
                return True
        self._doubted_offset = offset
        return False

    def settle(self):
        """Nobody else is there to ask: believe what was said last, if nothing is believed so far."""
        if self._utc_offset is None and self._doubted_offset is not None:
            self._believe(self._doubted_offset)

    def confirm(self):
        """A connection is up whose certificates were judged by this clock."""
        if self.is_agreed:
            self._confirmed_offset = self._utc_offset

    def use_confirmed(self):
        """Nobody tells the time: go by the confirmed one, if there is one."""
        if self._utc_offset is None and self._confirmed_offset is not None and not self._is_confirmed_used:
            self._is_confirmed_used = True
            self._set_machine(self._confirmed_offset + self.uptime_ms)

    def utc_ms(self):
        """Return the time of day in ms since 1970, or None if this boot has not learned it."""
        return None if self._utc_offset is None else self._utc_offset + self.uptime_ms

    def signing_ms(self):
        """Return the time to sign by, or None while certificates cannot be judged either.

        By a time that is too early, signatures would have expired before they are made: they are to last longer.
        """
        if self._utc_offset is None and self._is_confirmed_used:
            return self._confirmed_offset + self.uptime_ms + SIGN_AHEAD_MS
        return self.utc_ms()

    def _believe(self, offset):
        self._utc_offset = offset
        self._set_machine(offset + self.uptime_ms)

    def _set_machine(self, utc_ms):
        if self._set_time_ms is not None:
            self._set_time_ms(utc_ms)
