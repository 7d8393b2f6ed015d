"""The pace at which messages leave: halved by an objection, slowly faster again, never above a limit that was set."""

from fieldpost.limits import PACE_FAST_PER_S, PACE_LEAST_PER_S, PACE_SLOW_PER_S
from fieldpost.uplink.pace import Pace


def sent_within(pace, start_ms, duration_ms, step_ms=10, most=16):
    """Send whatever the pace allows, `most` in a step; return how many messages left."""
    count = 0
    for now_ms in range(start_ms, start_ms + duration_ms, step_ms):
        for _ in range(most):
            if not pace.may_send(now_ms):
                break
            pace.sent(now_ms)
            count += 1
    return count


def test_without_an_objection_nothing_is_held_back():
    assert sent_within(Pace(), 0, 1000) == 1600


def test_an_objection_halves_the_rate_and_calm_lets_it_grow_by_one_each_second():
    pace = Pace()
    for now_ms in range(0, 2000, 10):
        assert pace.may_send(now_ms)
        pace.sent(now_ms)
    pace.connection_ended(2000, True)
    assert pace.per_s == 50
    assert 45 <= sent_within(pace, 2000, 1000) <= 52
    found = sent_within(pace, 3000, 10_000)
    assert 510 <= found <= 570, "from 51 to 60 per second"
    pace.connection_ended(13_000, True)
    assert 24 <= pace.per_s <= 30


def test_it_never_stops_and_in_the_end_holds_nothing_back():
    pace = Pace()
    for turn in range(20):
        pace.may_send(turn * 1000)
        for _ in range(40):
            pace.sent(turn * 1000)
        pace.connection_ended(turn * 1000 + 999, True)
    assert pace.per_s == PACE_LEAST_PER_S
    for now_ms in range(20_000, 20_000 + (PACE_FAST_PER_S + 10) * 1000, 1000):
        pace.may_send(now_ms)
    assert pace.per_s == 0


def test_a_connection_that_ends_in_peace_or_carried_little_is_no_objection():
    pace = Pace()
    sent_within(pace, 0, 1000)
    pace.connection_ended(1000, False)
    assert pace.per_s == 0
    for now_ms in range(0, 10_000, 1000):
        pace.may_send(now_ms)
        pace.sent(now_ms)
    pace.connection_ended(10_000, True)
    assert pace.per_s == 0 and PACE_SLOW_PER_S > 1


def test_a_limit_is_kept_also_after_a_pause_and_after_growth():
    pace = Pace(20)
    assert sent_within(pace, 0, 10_000) <= 20 * 10 + 21
    assert sent_within(pace, 60_000, 1000) <= 41
    pace.connection_ended(61_000, True)
    assert pace.per_s < 20
    sent_within(pace, 61_000, 60_000, 500)
    assert pace.per_s == 20
