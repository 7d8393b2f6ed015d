"""A plan holds what was asked for, in order, and the same seed makes the same plan."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.errors import UserError
from host_tools.lab.plan import QUIET_BEFORE_CUT_S, Step, make_plan
from host_tools.lab.quantities import Span


def test_the_timeline_is_in_order_and_holds_both_ends_of_every_trouble():
    timeline = make_plan(60, [Span(15, 10)], [Span(35, 2)], commands=0).timeline()
    assert timeline == [
        Step(15, "link_down"),
        Step(25, "link_up"),
        Step(35, "power_off"),
        Step(37, "power_on"),
    ]


def test_a_command_every_few_seconds_unless_told_otherwise():
    assert len(make_plan(60).commands) == 20
    assert len(make_plan(1).commands) == 1
    assert len(make_plan(60, commands=7).commands) == 7


@given(st.integers(0, 2**32), st.integers(0, 200), st.floats(1, 600))
def test_commands_lie_inside_the_run_and_never_shortly_before_a_cut(seed, count, length_s):
    cut = Span(length_s / 2, length_s / 10)
    plan = make_plan(length_s, power_cuts=[cut], commands=count, seed=seed)
    assert len(plan.commands) == count
    for step in plan.commands:
        assert 0 < step.at_s < length_s
        assert not cut.start_s - QUIET_BEFORE_CUT_S < step.at_s < cut.start_s
    assert plan == make_plan(length_s, power_cuts=[cut], commands=count, seed=seed)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"outages": [Span(55, 10)]}, "ends after the run of 60 s"),
        ({"power_cuts": [Span(70, 1)]}, "power cut from 70 s"),
        ({"outages": [Span(5, 10), Span(10, 10)]}, "two outages overlap at 10 s"),
        ({"commands": -1}, "-1 commands"),
        ({"commands": 1001}, "1001 commands"),
        ({"redelivered_share": 1.0}, "share of 1 "),
        ({"redelivered_share": -0.1}, "share of -0.1 "),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(options, reason):
    with pytest.raises(UserError, match=reason):
        make_plan(60, **options)


def test_an_outage_may_begin_when_another_ends():
    assert len(make_plan(60, [Span(5, 5), Span(10, 5)]).outages) == 2
