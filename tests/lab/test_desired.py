"""Desired properties by dotted paths, and what a board's report says of them."""

import pytest

from host_tools.errors import UserError
from host_tools.lab.desired import Outcome, leaves, nested, outcomes

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


@pytest.mark.parametrize(
    "reported",
    [
        {},
        {"pins": {"relay": 1}},
        {"pins": {"relay": 1}, "settings": {"sample_interval_ms": 4}},
        {"pins": {"relay": 1}, "settings": {"sample_interval_ms": 5}, "desired_version": 6},
        {"desired_version": 6, "errors": {"pins": {"relay": "of an older one"}, "settings": "too"}},
        {"errors": {"pins": {"relay": "of no version"}, "settings": "too"}},
    ],
)
def test_nothing_is_known_before_the_board_has_dealt_with_all_of_it(reported):
    assert outcomes(PATCH, 7, reported) is None


@pytest.mark.parametrize("version", [{}, {"desired_version": 7}, {"desired_version": 8}])
def test_what_is_reported_as_it_was_asked_for_is_applied(version):
    found = outcomes(PATCH, 7, {**PATCH, "board": "emulator", **version})
    assert found == [Outcome("pins.relay", 1, 1, None), Outcome("settings.sample_interval_ms", 5, 5, None)]
    assert all(one.is_applied for one in found)


def test_a_reason_ends_the_wait_for_its_property_and_those_inside_it():
    for errors in ({"settings": "expected another"}, {"settings": {"sample_interval_ms": "expected another"}}):
        reported = {"pins": {"relay": 1}, "desired_version": 7, "errors": errors}
        relay, interval = outcomes(PATCH, 7, reported)
        assert relay.is_applied
        assert (interval.reason, interval.is_applied) == ("expected another", False)


def test_a_property_that_was_removed_is_dealt_with_when_it_is_gone():
    assert outcomes({"pins": None}, 2, {"pins": {"relay": 1}, "desired_version": 2}) is None
    (gone,) = outcomes({"pins": None}, 2, {"desired_version": 2})
    assert gone.is_applied
