"""The ring against an oracle in memory: random lives on odd geometries, with cuts, refusals, purges and rot.

Goal: what no written case thinks of. Method: seeded lives on the smallest and oddest regions (3 sectors, units up to a
whole page, records of every size); after each cut and restart the ring must say exactly what the oracle knows. A
failure names its seed. A short slice runs always; for more:
FIELDPOST_RING_LIVES=100000 tests/run.sh power/test_ring_random.py
"""

import os
import random

import pytest
from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.ring.log import Ring

from host_tools.emulator.nor_flash import PowerCut
from host_tools.simulate.flash import Runaway, SimulatedFlash
from host_tools.simulate.mutants import applied

LIVES = int(os.environ.get("FIELDPOST_RING_LIVES", "200"))
PAGE_BYTES = 256
BUFFER = memoryview(bytearray(RECORD_BYTES_MAX))
RETIRED_MAX = PAGE_BYTES // 12  # numbers that one cut may use up: a page of the smallest frames
ROTTEN_BITS_MAX = 3


class Flash(SimulatedFlash):
    """Raises OSError in the operations of `refused`, half done, or before it has done anything.

    After that many operations in all as `last` says there is no power any more: nothing of the next one is done.
    """

    refused = -1
    last = -1

    def program(self, offset, data):
        self._try(super().program, offset, data, done_bytes=len(data) // 2)

    def erase(self, sector):
        self._try(super().erase, sector, done_bytes=0)

    def _try(self, operate, *arguments, done_bytes):
        if self.operations != self.refused:
            operate(*arguments)
            if self.operations == self.last:
                self.cut_off()
            return
        self.cut_at(0, done_bytes)
        try:
            operate(*arguments)
        except PowerCut:
            self.power_up()
            raise OSError(5) from None


class Life:
    """One ring, and what it has promised so far."""

    def __init__(self, seed):
        self.draw = draw = random.Random(seed)
        sectors = draw.choice((3, 3, 4, 5, 9, 17, 33))
        sector_bytes = draw.choice((512, 512, 1024, 4096))
        unit_bytes = draw.choice((1, 4, 16, 32, 256))
        self.is_rotting = draw.random() < 0.2
        self.flash = Flash(
            sectors * sector_bytes,
            sector_bytes,
            unit_bytes,
            write_once=draw.random() < 0.5,
            seed=seed + 1,
            strict=not self.is_rotting,
        )
        largest = RECORD_BYTES_MAX
        self.sizes = draw.choice(((0, 0), (0, 40), (18, 18), (largest, largest), (0, largest)))
        self.attempts = {}
        self.appended = set()  # whose append returned: no other one has to be there
        self.newest = 0  # the highest number whose append returned
        self.tried = 0  # and that was begun
        self.cuts = 0
        self.cursors = {(0, 0)}  # the (cursor, lost) that may stand on flash
        self.dropped = set()  # of these some may be missing in the middle: a purge or an erase was cut
        self.flips = 0
        self.ring_id = None
        self.open()

    def open(self):
        operations = self.flash.operations
        self.ring = Ring(self.flash)
        assert self.flash.operations == operations, "opening writes"
        if self.newest and not self.flips:
            assert self.ring.ring_id == self.ring_id

    def live(self):
        acts = (self.append, self.append, self.append, self.forget, self.maintain, self.restart, self.cut, self.refuse)
        weights = [self.draw.random() ** 2 for _ in acts]
        weights[0] += 2
        acts += (self.purge, self.rot)
        weights += [self.draw.choice((0, 0, 0.05)), 0.05 if self.is_rotting else 0]
        for _ in range(self.draw.randrange(5, 400)):
            act = self.draw.choices(acts, weights)[0]
            try:
                act()
            except PowerCut:
                self.cuts += 1
                self.flash.power_up()
                self.note_given_away()
                self.restart()
            except OSError:
                self.cuts += 1  # a number may be used up, as by a cut
                self.note_given_away()
                self.judge()
        self.flash.cut_at(0)
        self.flash.power_up()
        self.restart()

    def append(self):
        for _ in range(self.draw.choice((1, 1, 5, 30))):
            number = self.ring.next_number
            data = random.Random(number).randbytes(self.draw.randint(*self.sizes))
            self.tried = number
            self.attempts[number] = data
            assert self.ring.append(self.draw.randint(1, 100), data) == number > self.newest
            self.ring_id = self.ring.ring_id
            self.newest = number
            self.appended.add(number)

    def forget(self):
        ring = self.ring
        if ring.next_number - 1 <= ring.cursor:
            return
        through = self.draw.choice((ring.next_number - 1, self.draw.randint(ring.cursor, ring.next_number - 1)))
        lost = self.draw.choice((0, 0, 3))
        if through > ring.cursor:
            self.cursors.add((through, ring.lost + lost))
        ring.forget(through, lost)
        # One that was refused or cut may stand there all the same, read as whole now and as torn then.
        self.cursors = {pair for pair in self.cursors if pair[0] >= ring.cursor}

    def maintain(self):
        self.ring.maintain()

    def purge(self):
        ring = self.ring
        top = sequence = ring.newest
        self.dropped |= self.appended
        while ring.drop_sector(sequence - 1):
            sequence -= 1
        ring.begin_at(top)

    def note_given_away(self):
        """A part of the sector that was to be erased for room may still be there."""
        self.dropped |= {number for number in self.appended if number < self.ring.first_kept}

    def restart(self):
        self.flash.power_up()  # what was planned is forgotten
        self.open()
        self.judge()

    def cut(self):
        operation, way = self.draw.randrange(12), self.draw.randrange(5)
        if way == 0:
            self.flash.cut_late_at(operation)
        elif way == 1:
            self.flash.cut_at_erase(operation % 3)
        elif way == 2:
            self.flash.last = self.flash.operations + 1 + operation
        else:
            self.flash.cut_at(operation, scattered=way == 3)

    def refuse(self):
        self.flash.refused = self.flash.operations + self.draw.randrange(12)

    def rot(self):
        if self.flips < ROTTEN_BITS_MAX:
            self.flips += 1
            self.flash.rot(self.draw.randrange(len(self.flash.memory)), self.draw.randrange(8))

    def judge(self):
        ring = self.ring
        self.flash.begin_step()
        reader = ring.reader()
        found = {}
        last = 0
        while (length := reader.next(BUFFER)) >= 0:
            assert reader.number > last, "out of order"
            last = reader.number
            found[last] = bytes(BUFFER[:length])
        assert ring.next_number > self.newest, "a number would be given again"
        if self.flips == 0:
            assert ring.next_number <= self.tried + 1 + RETIRED_MAX * self.cuts
            assert (ring.cursor, ring.lost) in self.cursors, (ring.cursor, ring.lost, self.cursors)
        for number, data in found.items():
            assert data == self.attempts[number], number
        if not self.flips:
            waiting = [number for number in self.appended if number > ring.cursor]
            first = ring.oldest
            expected = [number for number in waiting if number >= first]
            missing = set(expected) - set(found)
            assert not missing - self.dropped, ("missing", sorted(missing))
            # In the smallest rings, supplies that fail in each append open one sector after the other.
            is_settled = self.newest <= ring.cursor or self.newest in self.dropped
            assert self.newest in found or is_settled or ring.sectors * ring.pages_per_sector < 12
            self.appended = {number for number in self.appended if number >= min(first, ring.cursor + 1)}
        assert ring.pending == ring.next_number - ring.oldest


@pytest.mark.parametrize("first", range(0, LIVES, 100))
def test_a_random_life_keeps_every_promise(first: int) -> None:
    for seed in range(first, min(first + 100, LIVES)):
        life = None
        try:
            life = Life(seed)
            life.live()
        except BaseException as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error


@pytest.mark.parametrize(
    "name",
    [
        "the CRC has no seed",
        "a sector without a valid header is not erased again",
        "the last number before a cut is given again",
        "an append returns before its record is on flash",
        "the number of a torn record is given again",
    ],
)
def test_the_oracle_notices_a_ring_that_was_broken_on_purpose(name: str) -> None:
    with applied(name), pytest.raises((AssertionError, ValueError, Runaway)):
        for seed in range(100):
            Life(seed).live()
