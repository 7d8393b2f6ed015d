"""Simulated lives: the promise holds under faults, the same seed lives the same life, and every mutant is caught.

Goal: years of faults before they happen in the field. Method: host_tools.simulate, whose judges see only the hub's
messages, the pins and what the sensor gave; `fieldpost simulate --seed N --trace` replays what fails here.
"""

import pytest

from host_tools.simulate.campaign import run_all
from host_tools.simulate.judges import PromiseBroken
from host_tools.simulate.judges.orders import Order, Orders
from host_tools.simulate.judges.stream import Stream
from host_tools.simulate.life import live
from host_tools.simulate.mutants import MUTANTS

YEARS = 0.0003


def test_no_life_breaks_the_promise_and_every_mutant_is_caught() -> None:
    report = run_all(range(1, 17), YEARS, with_mutants=True)
    assert report.failures == []
    assert [name for name, outcome in report.mutants.items() if outcome is None] == []
    assert report.seeds == 16 and report.mutants_caught == len(MUTANTS) >= 8
    assert sum(report.faults.values()) > 10_000 and report.power_cuts > 3_000
    assert report.lost > 1000 and report.repeated > 1000 and report.commands > 1000


@pytest.mark.slow
def test_long_lives_keep_the_promise() -> None:
    report = run_all(range(1001, 1003), 0.003, with_mutants=False)
    assert report.failures == []


def test_a_seed_lives_the_same_life_again() -> None:
    first: list[str] = []
    second: list[str] = []
    assert live(7, 0.0003, first.append) == live(7, 0.0003, second.append)
    assert first == second and len(first) > 500
    other: list[str] = []
    live(8, 0.0003, other.append)
    assert other != first


def test_the_trace_changes_nothing() -> None:
    assert live(9, 0.0003, lambda line: None) == live(9, 0.0003)


def _stream() -> Stream:
    stream = Stream("0badcafe", 8, lambda: 0)
    for number in range(1, 6):
        stream.appended(number, None)
    return stream


@pytest.mark.parametrize(
    ("records", "lost", "words"),
    [
        ([{"n": 2}], [], "missing"),
        ([{"n": 1}, {"n": 3}], [], "missing inside"),
        ([{"n": 2}, {"n": 1}], [], "out of order"),
        ([{"n": 1}], [[2, 3]], "for no reason"),
        ([{"n": 1}], [[2, 99_999_999]], "never given"),
    ],
)
def test_the_judge_of_the_stream_objects(records: list[dict[str, int]], lost: list[list[int]], words: str) -> None:
    with pytest.raises(PromiseBroken, match=words):
        _stream().message(records, lost)


def test_what_an_older_connection_still_brings_may_have_been_reported_lost() -> None:
    """Only without a cut or rot that explains it, and only by an older connection: else it is a lie."""
    for is_late in (True, False):
        stream = Stream("0badcafe", 4, iter(range(100)).__next__)
        for number in range(1, 6):
            stream.appended(number, None)
        stream.message([{"n": 5}], [[1, 4]])
        if is_late:
            assert len(stream.message([{"n": number} for number in range(1, 5)], [], is_late=True)) == 4
        else:
            with pytest.raises(PromiseBroken, match="delivered now"):
                stream.message([{"n": number} for number in range(1, 5)], [])


def test_the_judge_of_the_stream_knows_a_repeat_from_a_forgery() -> None:
    stream = _stream()
    assert len(stream.message([{"n": 1, "up": 5}, {"n": 2, "up": 6}], [])) == 2
    assert stream.message([{"n": 2, "up": 6}], []) == []
    with pytest.raises(PromiseBroken, match="two contents"):
        stream.message([{"n": 2, "up": 7}], [])
    with pytest.raises(PromiseBroken, match="given again"):
        stream.appended(5, None)


def test_the_judge_of_a_stream_in_any_order_wants_every_number_once() -> None:
    stream = Stream("0badcafe", 8, lambda: 0, in_order=False)
    for number in range(1, 8):
        stream.appended(number, None)
    assert len(stream.message([{"n": 6}, {"n": 7}], [])) == 2 and stream.through == 0
    assert len(stream.message([{"n": 3}], [])) == 1
    assert stream.message([{"n": 6}], []) == [] and stream.repeated == 1
    with pytest.raises(PromiseBroken, match="missing inside"):
        stream.message([{"n": 1}, {"n": 3}], [])
    assert stream.through == 1  # the judge of a life would have ended here
    with pytest.raises(PromiseBroken, match="for no reason"):
        stream.message([], [[2, 2]])
    stream.damages = 1
    stream.message([], [[2, 7]])
    assert (stream.through, stream.lost) == (7, 3), "what has arrived is not lost"


def test_the_judge_of_orders_counts_effects() -> None:
    orders = Orders()
    orders.sent(Order("a", "pulse", "valve", 100, 0))
    orders.edge("valve", 1, 10)
    orders.edge("valve", 0, 110)
    with pytest.raises(PromiseBroken, match="2 times"):
        orders.edge("valve", 1, 200)
    with pytest.raises(PromiseBroken, match="no command"):
        orders.edge("pump", 1, 300)
    orders.sent(Order("b", "pulse", "lamp", 100, 0))
    with pytest.raises(PromiseBroken, match="pulses seen: 0"):
        orders.answered("b", "done")
    orders.settled("b", True)
    orders.sent(Order("c", "other", "", 0, 0))
    with pytest.raises(PromiseBroken, match="still not acknowledged"):
        orders.judge_rest()
