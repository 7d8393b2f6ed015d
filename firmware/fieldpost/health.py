"""Which duties are alive, and so whether the watchdog may be fed.

A duty reports each time it did what it is there for. A board whose sensor or link is absent is healthy as
long as the duty keeps trying: the watchdog is for code that no longer runs, not for a world that is away.
"""

from fieldpost.limits import HEALTHY_AGE_MS_MAX


class Health:
    """Named duties and the uptime (ms) at which each last reported."""

    def __init__(self, duties, now_ms):
        self._reported = {name: now_ms for name in duties}

    def alive(self, duty, now_ms):
        """Note that `duty` did its work at `now_ms`."""
        assert duty in self._reported, duty
        self._reported[duty] = now_ms

    def stalled(self, now_ms):
        """Return the name of a duty that has been silent for too long, or None."""
        for name in self._reported:
            if now_ms - self._reported[name] > HEALTHY_AGE_MS_MAX:
                return name
        return None
