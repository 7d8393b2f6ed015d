"""The account of one ring against a list of what really happened to each number."""

from hypothesis import given
from hypothesis import strategies as st

from host_tools.audit.claims import Claims
from host_tools.audit.ledger import Ledger, RingTail

RING = "1f2e3d4c"


def account(*messages, tail=None):
    ledger = Ledger("board", RING)
    for numbers, lost in messages:
        ledger.enter(Claims(RING, tuple(numbers), (), tuple(lost)))
    return ledger.close(tail)


def test_a_whole_sequence_is_whole():
    found = account(([1, 2, 3], []), ([4, 5], []), tail=RingTail(RING, 6))
    assert found.is_whole
    assert (found.delivered_unique, found.missing, found.gaps, found.duplicates) == (5, 0, 0, 0)


def test_a_hole_is_missing_and_a_gap():
    found = account(([1, 2], []), ([5], []))
    assert (found.missing, found.gaps, found.missing_ranges) == (2, 1, ((3, 4),))
    assert not found.is_whole


def test_a_tail_that_never_arrived_is_missing_but_no_gap():
    found = account(([1, 2], []), tail=RingTail(RING, 5))
    assert (found.missing, found.gaps, found.missing_ranges) == (2, 0, ((3, 4),))
    assert not found.is_whole


def test_a_beginning_that_never_arrived_is_a_gap():
    assert account(([3], [])).missing_ranges == ((1, 2),)


def test_what_waits_on_the_board_is_not_missing():
    found = account(([1, 2], []), tail=RingTail(RING, 5, waiting=((3, 4),)))
    assert (found.waiting, found.missing) == (2, 0)


def test_what_was_overwritten_is_told_apart_until_it_is_reported():
    found = account(([1, 2], []), tail=RingTail(RING, 9, waiting=((7, 8),), overwritten=((3, 6),)))
    assert (found.overwritten, found.waiting, found.missing) == (4, 2, 0)
    found = account(([1, 2], []), ([7, 8], [(3, 6)]), tail=RingTail(RING, 9))
    assert (found.overwritten, found.lost_reported, found.missing) == (0, 4, 0)


def test_a_repeat_is_counted_and_changes_nothing_else():
    found = account(([1, 2, 3], []), ([2, 3], []), ([4], []))
    assert (found.delivered_unique, found.duplicates, found.out_of_order) == (4, 2, 0)


def test_what_was_delivered_is_not_lost_even_if_the_board_says_so():
    found = account(([1, 2, 3], []), ([6], [(2, 5)]))
    assert (found.delivered_unique, found.lost_reported, found.missing) == (4, 2, 0)


def test_a_number_behind_a_higher_one_breaks_the_order_once():
    found = account(([1, 2, 5], []), ([3, 4, 5, 6], []), ([3, 4], []))
    assert (found.out_of_order, found.missing) == (2, 0)
    assert account(([2, 1], [])).out_of_order == 1


@given(
    st.lists(st.sampled_from(["delivered", "twice", "lost", "both", "waiting", "gone"]), max_size=60),
    st.integers(1, 7),
)
def test_every_number_falls_under_exactly_one_heading(fates, batch):
    """Goal: the counts are those of the fates that the numbers were given, whatever the batches."""
    delivered, lost, waiting = [], [], []
    for number, fate in enumerate(fates, 1):
        if fate in ("delivered", "twice", "both"):
            delivered.append(number)
        if fate == "twice":
            delivered.append(number)
        if fate in ("lost", "both"):
            lost.append((number, number))
        if fate == "waiting":
            waiting.append((number, number))
    messages = [(delivered[start : start + batch], lost) for start in range(0, len(delivered), batch)]
    messages.append(([], lost))
    found = account(*messages, tail=RingTail(RING, len(fates) + 1, tuple(waiting)))
    assert found.delivered_unique == sum(fate in ("delivered", "twice", "both") for fate in fates)
    assert found.duplicates == fates.count("twice")
    assert found.lost_reported == fates.count("lost")
    assert found.waiting == fates.count("waiting")
    assert found.missing == fates.count("gone")
    assert found.out_of_order == 0
    total = found.delivered_unique + found.lost_reported + found.waiting + found.missing
    assert total == len(fates)
