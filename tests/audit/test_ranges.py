"""RangeSet against a plain set of numbers."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.audit import ranges
from host_tools.audit.ranges import RangeSet
from host_tools.errors import UserError

spans = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 12)).map(lambda span: (span[0], sum(span))), max_size=20)


def filled(items):
    made = RangeSet()
    for first, last in items:
        made.add(first, last)
    return made


def numbers(items):
    return {number for first, last in items for number in range(first, last + 1)}


@given(spans)
def test_a_range_set_holds_what_a_set_would_hold(items):
    made, model = RangeSet(), set()
    for first, last in items:
        new = set(range(first, last + 1)) - model
        assert made.add(first, last) == len(new)
        model |= new
    assert numbers(made) == model
    assert made.count == len(model)
    assert made.highest == max(model, default=0)
    assert all((number in made) == (number in model) for number in range(0, 75))


@given(spans)
def test_ranges_are_in_order_and_never_touch(items):
    held = list(filled(items))
    for (_, last), (following, _) in itertools.pairwise(held):
        assert last + 1 < following


@given(spans, st.integers(1, 70), st.integers(0, 30))
def test_holes_are_what_is_not_held(items, first, length):
    last = first + length - 1
    assert numbers(filled(items).holes(first, last)) == set(range(first, last + 1)) - numbers(items)


@given(spans, spans)
def test_union_and_without_are_those_of_sets(some, others):
    assert numbers(filled(some).union(filled(others))) == numbers(some) | numbers(others)
    assert numbers(filled(some).without(filled(others))) == numbers(some) - numbers(others)


def test_numbers_in_order_take_one_range():
    made = RangeSet()
    for number in range(1, 10_001):
        made.add(number, number)
    assert list(made) == [(1, 10_000)]


def test_too_many_separate_ranges_are_refused(monkeypatch):
    monkeypatch.setattr(ranges, "RANGES_MAX", 3)
    with pytest.raises(UserError, match="separate ranges"):
        filled([(1, 1), (3, 3), (5, 5), (7, 7)])
