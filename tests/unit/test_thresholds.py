"""One alarm when a quantity leaves its range, one when it is back."""

from fieldpost.limits import ALARM_INTERVAL_MS
from fieldpost.records.reading_schema import ReadingSchema
from fieldpost.thresholds import Thresholds

LAYOUT = ReadingSchema("temperature,i2,-2,C;pressure,u3,-2,hPa")


def test_a_quantity_that_leaves_its_range_is_told_once_and_again_when_it_is_back():
    thresholds = Thresholds()
    thresholds.set({"temperature": {"above": 30, "below": -1.5}})
    now_ms = 0
    found = []
    for value in (2000, 3000, 3001, 3100, 2999, -150, -151, 0):
        now_ms += ALARM_INTERVAL_MS
        found.append(thresholds.check(LAYOUT, (value, 98_000), now_ms))
    assert found == [
        None,
        None,
        ("temperature", "above", "30.01"),
        None,
        ("temperature", "inside", "29.99"),
        None,
        ("temperature", "below", "-1.51"),
        ("temperature", "inside", "0.00"),
    ]


def test_a_quantity_that_trembles_is_told_now_and_then():
    thresholds = Thresholds()
    thresholds.set({"pressure": {"above": 980, "below": None}})
    found = [thresholds.check(LAYOUT, (0, 98_000 + now_ms % 2), now_ms) for now_ms in range(ALARM_INTERVAL_MS + 5)]
    assert len([one for one in found if one]) == 2


def test_without_limits_nothing_is_told():
    thresholds = Thresholds()
    assert thresholds.check(LAYOUT, (0, 0), 0) is None
    thresholds.set({"wind": {"above": 1, "below": None}})
    assert thresholds.check(LAYOUT, (0, 0), 0) is None
