"""When to try again: exponential, with full jitter, reset only after a stable period.

Full jitter (a random moment between nothing and the ceiling of this attempt) spreads a fleet that comes
back after an outage best: AWS Architecture Blog, "Exponential Backoff and Jitter". A hub that is only restarted is back
within seconds: the first attempts stay close together, so that it is not waited for longer than it was away.
"""

from fieldpost.limits import BACKOFF_CEILING_MS, BACKOFF_FIRST_MS, BACKOFF_FIRST_TIMES


class Backoff:
    """random_below: callable(n) -> integer from 0 to n - 1."""

    def __init__(self, random_below):
        self._random_below = random_below
        self.reset()

    def next_ms(self):
        """Return how many ms to wait before the next attempt, and double the range of the one after."""
        wait_ms = self._random_below(self._ceiling_ms)
        self._attempts += 1
        if self._attempts >= BACKOFF_FIRST_TIMES:
            self._ceiling_ms = min(2 * self._ceiling_ms, BACKOFF_CEILING_MS)
        return wait_ms

    def at_ceiling(self):
        """Wait long the next time: what was refused will not be granted within a second."""
        self._ceiling_ms = BACKOFF_CEILING_MS
        self._attempts = BACKOFF_FIRST_TIMES

    def reset(self):
        """The connection has proved stable: begin small again."""
        self._ceiling_ms = BACKOFF_FIRST_MS
        self._attempts = 0
