"""Desired properties by dotted paths, and what a board's report says of them."""

import pytest

from host_tools.errors import UserError
from host_tools.lab.desired import Outcome, check_known, leaves, nested, outcomes

PATCH = {"pins": {"relay": 1}, "settings": {"sample_interval_ms": 5}}


def test_paths_become_objects_and_back():
    paths = {"pins.relay": 1, "settings.a.b": None, "pins.led": 0, "empty": {}}
    document = {"pins": {"relay": 1, "led": 0}, "settings": {"a": {"b": None}}, "empty": {}}
    assert nested(paths) == document
    assert dict(leaves(document)) == paths


@pytest.mark.parametrize(
    "paths",
    [{"": 1}, {"pins.": 1}, {".relay": 1}, {"a..b": 1}, {"pins": 1, "pins.relay": 1}, {"pins.relay": 1, "pins": 1}],
)
def test_paths_that_make_no_document_are_refused(paths):
    with pytest.raises(UserError):
        nested(paths)


def test_what_the_agent_does_not_look_at_may_only_be_removed():
    check_known(PATCH | {"room": {"relay": None}})
    with pytest.raises(UserError, match=r"no use for 'room\.relay': expected pins\.NAME"):
        check_known({"room": {"relay": 1}})


def pin(value, status="done", version=7, **more):
    return {"value": value, "status": status, "version": version, **more}


def settings(interval_ms, status="trial", version=7, **more):
    return {"sample_interval_ms": interval_ms, "status": status, "version": version, **more}


@pytest.mark.parametrize(
    "reported",
    [
        {},
        {"pins": {"relay": 1}, "settings": {"sample_interval_ms": 5}},
        {"pins": {"relay": pin(1)}},
        {"pins": {"relay": pin(1)}, "settings": settings(5, version=6)},
        {"pins": {"relay": pin(1, "refused", 6, reason="an older one")}, "settings": settings(5)},
        {"pins": {"relay": pin(1)}, "settings": 5},
    ],
)
def test_nothing_is_known_before_the_board_has_dealt_with_all_of_it(reported):
    assert outcomes(PATCH, 7, reported) is None


@pytest.mark.parametrize("version", [7, 8])
def test_what_the_board_has_taken_is_applied_on_trial_too(version):
    found = outcomes(PATCH, 7, {"pins": {"relay": pin(1, version=version)}, "settings": settings(5, version=version)})
    assert found == [
        Outcome("pins.relay", 1, 1, "done"),
        Outcome("settings.sample_interval_ms", 5, 5, "trial"),
    ]
    assert all(one.is_applied for one in found)


@pytest.mark.parametrize("status", ["refused", "rolled back", "failed", "interrupted"])
def test_what_the_board_has_not_taken_says_why(status):
    reported = {"pins": {"relay": pin(1, status, reason="not now")}, "settings": settings(9, status)}
    relay, interval = outcomes(PATCH, 7, reported)
    assert (relay.status, relay.reason, relay.is_applied) == (status, "not now", False)
    assert (interval.reported, interval.reason, interval.is_applied) == (9, "the board gives no reason", False)


def test_a_value_of_several_parts_has_one_verdict():
    patch = {"pins": {"fan": {"duty_permille": 250, "frequency_hz": 100}}}
    reported = {"pins": {"fan": pin({"duty_permille": 250, "frequency_hz": 100})}}
    assert [one.reported for one in outcomes(patch, 7, reported)] == [250, 100]


def test_a_property_that_was_removed_is_waited_for_by_nobody():
    (gone,) = outcomes({"pins": {"relay": None}}, 2, {"pins": {"relay": pin(1, version=1)}})
    assert (gone.status, gone.is_applied) == ("removed", True)
