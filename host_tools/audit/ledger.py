"""The account of one ring: every number is delivered, reported as lost, still on the board, or missing.

    number     1 2 3 4 5 6 7 8 9 10 11 12
    hub        d d d L L d . d                d delivered, L reported as lost
    board                        w  w         w waits on flash, next number 11
    result     missing 7, a gap; 9 and 10 wait

Knows nothing of stores and flash: the caller tells it what each message claims, in the order in which
the hub took them, and what the flash holds.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from host_tools.audit.claims import Claims
from host_tools.audit.ranges import Range, RangeSet

MISSING_SHOWN_MAX = 20  # ranges that a proof spells out


@dataclass(frozen=True)
class RingTail:
    """What a board's flash says about its ring at one moment.

    next_number: the number that the next record will get
    waiting: ranges of numbers that are kept and not yet confirmed by the hub
    overwritten: ranges that made room or were damaged and that the board has still to report as lost
    """

    ring: str
    next_number: int
    waiting: tuple[Range, ...] = ()
    overwritten: tuple[Range, ...] = ()


@dataclass(frozen=True)
class Account:
    """The numbers of one ring, counted.

    missing: numbers that nobody answers for; gaps: ranges of them below the highest that arrived.
    """

    device: str
    ring: str
    delivered_unique: int
    events: int
    duplicates: int
    lost_reported: int
    waiting: int
    overwritten: int
    missing: int
    gaps: int
    out_of_order: int
    highest: int
    missing_ranges: tuple[Range, ...]
    next_number: int | None

    @property
    def is_whole(self) -> bool:
        """Whether every number is accounted for."""
        return self.missing == 0 and self.gaps == 0


class Ledger:
    """Collects the claims of one ring. Memory grows with the number of separate ranges, not of records."""

    def __init__(self, device: str, ring: str) -> None:
        self.device = device
        self.ring = ring
        self._delivered = RangeSet()
        self._events = RangeSet()
        self._lost = RangeSet()
        self._deliveries = 0
        self._out_of_order = 0

    @property
    def size(self) -> int:
        """How many separate ranges it keeps, and one for itself."""
        return 1 + sum(kept.range_count for kept in (self._delivered, self._events, self._lost))

    def enter(self, claims: Claims) -> None:
        """Note one message, in the order in which the hub stored them."""
        assert claims.ring == self.ring
        for first, last in claims.lost:
            self._lost.add(first, last)
        for number in claims.events:
            self._events.add(number, number)
        self._deliveries += len(claims.numbers)
        for first, last in _runs(claims.numbers):
            # A repeat is expected; a number seen for the first time behind a higher one is not.
            highest = self._delivered.highest
            if first < highest:
                self._out_of_order += self._delivered.add(first, min(last, highest))
            self._delivered.add(first, last)

    def close(self, tail: RingTail | None = None) -> Account:
        """Return the account.

        tail: what the flash says; without it the sequence ends with the highest number that arrived.
        """
        assert tail is None or tail.ring == self.ring
        # A PUBACK that went astray lets a board report as lost what was delivered all the same.
        lost = self._lost.without(self._delivered)
        answered = self._delivered.union(lost)
        waiting = _set(tail.waiting if tail else ()).without(answered)
        overwritten = _set(tail.overwritten if tail else ()).without(answered).without(waiting)
        highest = answered.highest
        end = max(highest, tail.next_number - 1) if tail else highest
        holes = _set(answered.union(waiting).union(overwritten).holes(1, end))
        return Account(
            device=self.device,
            ring=self.ring,
            delivered_unique=self._delivered.count,
            events=self._events.count,
            duplicates=self._deliveries - self._delivered.count,
            lost_reported=lost.count,
            waiting=waiting.count,
            overwritten=overwritten.count,
            missing=holes.count,
            gaps=sum(1 for first, _ in holes if first < highest),
            out_of_order=self._out_of_order,
            highest=highest,
            missing_ranges=tuple(holes)[:MISSING_SHOWN_MAX],
            next_number=tail.next_number if tail else None,
        )


def _runs(numbers: tuple[int, ...]) -> Iterator[Range]:
    """Give the runs of neighbours, so that a message in order costs one range."""
    start = 0
    for index in range(1, len(numbers) + 1):
        if index == len(numbers) or numbers[index] != numbers[index - 1] + 1:
            yield numbers[start], numbers[index - 1]
            start = index


def _set(ranges: Iterable[Range]) -> RangeSet:
    made = RangeSet()
    for first, last in ranges:
        made.add(first, last)
    return made
