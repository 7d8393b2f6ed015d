"""Limits of quantities that somebody wants to hear of at once, without waiting for the readings."""

from fieldpost.limits import ALARM_INTERVAL_MS
from fieldpost.records.reading_schema import decimal

_INSIDE = "inside"


class Thresholds:
    """What is above or below what it should be. One alarm when a quantity leaves its range, one when it is back.

    A quantity that trembles about its threshold raises no more than one alarm in ALARM_INTERVAL_MS.
    """

    def __init__(self):
        self._ranges = {}
        self._states = {}
        self._quiet_until_ms = {}

    def set(self, ranges):
        """Take {quantity: {"above": number, "below": number}}, either of which may be absent."""
        self._ranges = ranges or {}
        self._states = {}

    def check(self, reading_schema, values, now_ms):
        """Return (quantity, state, value as text) of the first quantity whose state has changed, or None."""
        for index, (name, exponent) in enumerate(reading_schema.quantities()):
            limits = self._ranges.get(name)
            if limits is None:
                continue
            state = _state(values[index], limits, exponent)
            if state != self._states.get(name, _INSIDE) and now_ms >= self._quiet_until_ms.get(name, now_ms):
                self._states[name] = state
                self._quiet_until_ms[name] = now_ms + ALARM_INTERVAL_MS
                return name, state, decimal(values[index], exponent)
        return None


def _state(value, limits, exponent):
    above, below = limits.get("above"), limits.get("below")
    if above is not None and value > _scaled(above, exponent):
        return "above"
    if below is not None and value < _scaled(below, exponent):
        return "below"
    return _INSIDE


def _scaled(number, exponent):
    """Return a number as the integer that readings count in."""
    scaled = number * 10**-exponent if exponent < 0 else number / 10**exponent
    return int(scaled + 0.5) if scaled >= 0 else -int(0.5 - scaled)
