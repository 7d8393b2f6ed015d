"""How fast messages may leave: as fast as the window lets them until the hub objects, then slower, and slowly faster.

MQTT has no way to say "too fast": IoT Hub closes the connection, or acknowledges late (Microsoft, "IoT Hub quotas and
throttling"). A connection that ends while messages are under way is therefore taken for an objection. The rate is then
half of what it was, and grows by one message per second in each second (additive increase, multiplicative decrease, as
TCP does it: RFC 5681 section 3.1).
"""

from fieldpost.limits import PACE_FAST_PER_S, PACE_GROWTH_MS, PACE_LEAST_PER_S, PACE_SLOW_PER_S

_MESSAGE = 1000  # what a message costs; a rate of 1/s gains 1 in each ms


class Pace:
    """limit_per_s: messages per second that are never exceeded; 0: there is no such limit."""

    def __init__(self, limit_per_s=0):
        self._limit = limit_per_s
        self.per_s = limit_per_s  # 0: as fast as the window lets them
        self._credit = _MESSAGE
        self._credit_ms = 0
        self._grown_ms = 0
        self._sent = 0
        self._since_ms = None  # when this connection's first message left

    def may_send(self, now_ms):
        """Return whether a message may leave now."""
        if not self.per_s:
            return True
        if now_ms - self._grown_ms >= PACE_GROWTH_MS:
            self._grow(now_ms)
            if not self.per_s:
                return True
        # What was not used within a second is gone: a pause earns no flood.
        gained = (now_ms - self._credit_ms) * self.per_s
        self._credit = min(self._credit + gained, self.per_s * _MESSAGE)
        self._credit_ms = now_ms
        return self._credit >= _MESSAGE

    def sent(self, now_ms):
        """Note that a message left."""
        if self._since_ms is None:
            self._since_ms = now_ms
        self._sent += 1
        if self.per_s:
            self._credit -= _MESSAGE

    def connection_ended(self, now_ms, is_objection):
        """The next connection begins to count anew. is_objection: it ended while messages were under way."""
        if is_objection and self._since_ms is not None:
            rate = self._sent * 1000 // max(now_ms - self._since_ms, 1000)
            if rate >= PACE_SLOW_PER_S or self.per_s:
                halved = max(min(rate, self.per_s or rate) // 2, PACE_LEAST_PER_S)
                self.per_s = min(halved, self._limit or halved)
                self._credit = 0
        self._credit_ms = self._grown_ms = now_ms
        self._sent = 0
        self._since_ms = None

    def _grow(self, now_ms):
        self.per_s += (now_ms - self._grown_ms) // PACE_GROWTH_MS
        self._grown_ms = now_ms
        if self._limit:
            self.per_s = min(self.per_s, self._limit)
        elif self.per_s > PACE_FAST_PER_S:
            self.per_s = 0
