"""Sets of record numbers, kept as ranges: years of readings in order take the memory of one.

    add(1, 5) add(8, 9)      1..5 8..9
    add(6, 7)                1..9
    holes(1, 12)             10..12

A set holds RANGES_MAX separate ranges at most. Records arrive nearly in order, so that a store which
needs more is broken in a way that no audit can weigh; `add` then raises UserError.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from host_tools.errors import UserError

RANGES_MAX = 1_000_000

Range = tuple[int, int]  # first and last number, both included


class RangeSet:
    """Numbers as disjoint ranges in rising order that never touch one another."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self.count = 0

    def add(self, first: int, last: int) -> int:
        """Add every number from `first` to `last`; return how many of them were not in the set."""
        assert first <= last, (first, last)
        # Ranges left..right - 1 overlap the new one or touch it: they melt into one.
        left = bisect_left(self._lasts, first - 1)
        right = bisect_right(self._firsts, last + 1)
        known = 0
        merged_first, merged_last = first, last
        if left < right:
            merged_first = min(first, self._firsts[left])
            merged_last = max(last, self._lasts[right - 1])
            known = sum(self._overlap(index, first, last) for index in range(left, right))
        self._firsts[left:right] = [merged_first]
        self._lasts[left:right] = [merged_last]
        if len(self._firsts) > RANGES_MAX:
            raise UserError(
                f"more than {RANGES_MAX} separate ranges of record numbers: the store is not what a hub "
                "wrote, restore it from a copy"
            )
        added = last - first + 1 - known
        self.count += added
        return added

    def __contains__(self, number: int) -> bool:
        index = bisect_left(self._lasts, number)
        return index < len(self._firsts) and self._firsts[index] <= number

    def __iter__(self) -> Iterator[Range]:
        return iter(list(zip(self._firsts, self._lasts, strict=True)))

    @property
    def range_count(self) -> int:
        """How many separate ranges there are: what memory grows with."""
        return len(self._firsts)

    @property
    def highest(self) -> int:
        """The highest number, 0 for an empty set."""
        return self._lasts[-1] if self._lasts else 0

    def holes(self, first: int, last: int) -> Iterator[Range]:
        """Give the ranges of `first` .. `last` that are not in the set, in rising order."""
        for held_first, held_last in self:
            if first > last or held_first > last:
                break
            if held_first > first:
                yield first, held_first - 1
            first = max(first, held_last + 1)
        if first <= last:
            yield first, last

    def union(self, other: "RangeSet") -> "RangeSet":
        """Return a new set with the numbers of both."""
        both = RangeSet()
        for source in (self, other):
            for first, last in source:
                both.add(first, last)
        return both

    def without(self, other: "RangeSet") -> "RangeSet":
        """Return a new set with the numbers of this one that are not in `other`."""
        rest = RangeSet()
        for first, last in self:
            for hole in other.holes(first, last):
                rest.add(*hole)
        return rest

    def _overlap(self, index: int, first: int, last: int) -> int:
        return max(0, min(last, self._lasts[index]) - max(first, self._firsts[index]) + 1)
