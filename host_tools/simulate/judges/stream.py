"""The stream of one ring at the hub: numbers delivered and numbers reported lost are a sequence without gaps.

Told when an append has returned, what number it gave, and how often the flash beneath has been erased: a record
may only be lost when its sectors have been erased since, when a cut kept its append from returning, or when its
bytes have rotted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from host_tools.simulate.judges import PromiseBroken

# What one cut or one damaged page may cost at the most: a page of the smallest frames.
NUMBERS_PER_DAMAGE_MAX = 21
REMEMBERED = 4000  # numbers behind the newest whose content is kept for comparison


@dataclass(slots=True)
class Appended:
    """One record whose append returned. erases: of the ring's region, until then."""

    what: Any
    erases: int


class Stream:
    """One ring id. sectors: of its ring; erases: callable, how often its region was erased so far.

    in_order: whether no number may arrive before those below it are settled.
    """

    def __init__(self, ring_id: str, sectors: int, erases: Callable[[], int], in_order: bool = True) -> None:
        self.ring_id = ring_id
        self.through = 0  # every number up to here was delivered or reported lost
        self.newest = 0  # the newest number whose append returned
        self.lost = 0
        self.delivered = 0
        self.repeated = 0
        self.damages = 0  # cuts and rotten bits so far: each explains some lost numbers
        self.what_of: Callable[[dict[str, Any]], Any] = lambda record: None
        self.content_of: Callable[[dict[str, Any]], Any] = lambda record: record
        self.on_lost: Callable[[Any], None] = lambda what: None
        self._sectors = sectors
        self._erases = erases
        self._in_order = in_order
        self._ahead: set[int] = set()  # settled numbers beyond `through` + 1
        self._appended: dict[int, Appended] = {}
        self._content: dict[int, Any] = {}
        self._lost_numbers: set[int] = set()
        self._unexplained = 0

    def appended(self, number: int, what: Any) -> None:
        """An append has returned `number`. what: `what_of` says the same of the record when it arrives."""
        if number <= self.newest:
            raise PromiseBroken(f"{self.ring_id}: number {number} was given again, {self.newest} was given before")
        if self._is_settled(number):
            raise PromiseBroken(f"{self.ring_id}: number {number} is given now, but the hub already has it")
        self.newest = number
        self._appended[number] = Appended(what, self._erases())

    def was_appended(self, number: int) -> bool:
        """Return whether an append returned this number, not too long ago."""
        return number in self._appended

    def message(
        self, records: list[dict[str, Any]], lost: list[list[int]], is_late: bool = False
    ) -> list[dict[str, Any]]:
        """Take one message; return the records that arrive for the first time.

        is_late: it was under way on an older connection. Records that were overwritten since may have been reported
        as lost on the newer one before.
        """
        numbers = [record["n"] for record in records]
        if numbers != sorted(set(numbers)):
            raise PromiseBroken(f"{self.ring_id}: records out of order in one message: {numbers}")
        spans = sorted([(number, number, False) for number in numbers] + [(a, b, True) for a, b in lost])
        by_number = {record["n"]: record for record in records}
        expected = spans[0][0] if spans else 0
        if spans and self._in_order and expected > self.through + 1:
            raise PromiseBroken(f"{self.ring_id}: {self.through + 1} to {expected - 1} are missing")
        new = []
        for first, last, is_lost in spans:
            if first != expected or last < first:
                raise PromiseBroken(f"{self.ring_id}: {expected} to {first - 1} are missing inside a message")
            expected = last + 1
            if is_lost:
                self._take_lost(max(first, self.through + 1), last)
            elif self._take(by_number[first], is_late):
                new.append(by_number[first])
        return new

    def forget_old(self) -> None:
        """Drop what is settled for long, so that years fit into memory."""
        if len(self._appended) + len(self._content) + len(self._lost_numbers) < 6 * REMEMBERED:
            return  # not worth a search
        limit = self.through - REMEMBERED
        for table in (self._appended, self._content):
            for number in [number for number in table if number <= limit]:
                del table[number]
        self._lost_numbers = {number for number in self._lost_numbers if number > limit}

    def _take(self, record: dict[str, Any], is_late: bool) -> bool:
        number = record["n"]
        entry = self._appended.get(number)
        if entry is not None and entry.what != self.what_of(record):
            raise PromiseBroken(f"{self.ring_id}: number {number} was given to {entry.what} and came as {record}")
        content = self.content_of(record)
        if self._is_settled(number):
            self.repeated += 1
            if number in self._content:
                if self._content[number] != content:
                    raise PromiseBroken(
                        f"{self.ring_id}: number {number} came with two contents: {self._content[number]} and {content}"
                    )
                return False
            if number not in self._lost_numbers:
                return False  # too long ago to compare
            # Reported lost and yet here, as bits between 0 and 1 can do it: a delivery, however late.
            if self.damages == 0 and not is_late:
                raise PromiseBroken(f"{self.ring_id}: number {number} was reported lost and is delivered now")
        self._content[number] = content
        self._settle(number)
        self.delivered += 1
        return True

    def _take_lost(self, first: int, last: int) -> None:
        if last - first > 10_000_000:
            raise PromiseBroken(f"{self.ring_id}: {first} to {last} are reported lost: so many were never given")
        erased = self._erases()
        for number in range(first, last + 1):
            if self._is_settled(number):
                continue  # arrived ahead of its turn, and the device has forgotten that
            entry = self._appended.get(number)
            if entry is not None:
                self.on_lost(entry.what)
            if entry is None or erased - entry.erases < self._sectors - 3:
                self._unexplained += 1
                if self._unexplained > NUMBERS_PER_DAMAGE_MAX * self.damages:
                    raise PromiseBroken(f"{self.ring_id}: number {number} is reported lost for no reason")
            self._lost_numbers.add(number)
            self.lost += 1
            self._settle(number)

    def _is_settled(self, number: int) -> bool:
        return number <= self.through or number in self._ahead

    def _settle(self, number: int) -> None:
        if number != self.through + 1:
            if number > self.through:
                self._ahead.add(number)
            return
        self.through = number
        while self.through + 1 in self._ahead:
            self.through += 1
            self._ahead.remove(self.through)
