"""A workload of the ring on a part that shows an oracle every way in which a cut could leave it.

Used by test_ring_exhaustive, which runs one of these for each kind of part in a process of its own.
"""

from dataclasses import dataclass

from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.ring.log import Ring

from host_tools.emulator.nor_flash import NorFlash

SECTORS, SECTOR_BYTES = 4, 1024
ERASE_PICTURES = 16
SCATTERED_PICTURES = 28
STEPS = 460  # more than three laps of the region
RETIRED_MAX = 3
BUFFER = memoryview(bytearray(RECORD_BYTES_MAX))


def payload(number):
    return bytes((number * 31 + i) & 0xFF for i in range(9 + number % 23))


def part(memory, unit_bytes, seed=1):
    return NorFlash(memory, sector_bytes=SECTOR_BYTES, unit_bytes=unit_bytes, strict=False, seed=seed)


def records(ring):
    reader = ring.reader()
    found = []
    while (length := reader.next(BUFFER)) >= 0:
        found.append((reader.number, bytes(BUFFER[:length])))
    return found


class Oracle:
    """What was promised so far. `appending` and `forgetting` name what is under way, 0 for nothing."""

    def __init__(self, unit_bytes):
        self.unit_bytes = unit_bytes
        self.appended = self.appending = 0
        self.forgotten = self.forgetting = 0
        self.cuts = 0
        self.retired = 0

    def check(self, flash, context):
        """Recover from `flash` and demand exactly what was promised."""
        self.cuts += 1
        operations = flash.operations
        ring = Ring(flash)
        found = records(ring)
        last = found[-1][0] if found else self.appended
        assert last in (self.appended, self.appending), (last, self.appended, context)
        # The number of a torn frame is not used again; nor are more, where its head cannot be read.
        assert self.appended < ring.next_number <= max(self.appended, self.appending) + RETIRED_MAX, context
        self.retired = max(self.retired, ring.next_number - 1 - max(self.appended, self.appending))
        assert ring.cursor == self.forgotten or ring.cursor == self.forgetting, (ring.cursor, context)
        # Overflow may have dropped the oldest sectors; what is kept has no gap and ends with the newest.
        assert [number for number, _ in found] == list(range(ring.oldest, last + 1)), context
        assert all(data == payload(number) for number, data in found), context
        assert flash.operations == operations, ("recovery wrote", context)


class CutEverywhere(NorFlash):
    """A part that, before it does an operation, shows the oracle every way in which a cut could leave it."""

    def __init__(self, oracle):
        super().__init__(
            SECTORS * SECTOR_BYTES, sector_bytes=SECTOR_BYTES, unit_bytes=oracle.unit_bytes, write_once=True
        )
        self._oracle = oracle

    def program(self, offset, data):
        for whole in range(len(data) + 1):
            self._cut(lambda flash: flash.program(offset, data), whole, self.operations + whole)
        for seed in range(1, SCATTERED_PICTURES + 1):
            self._cut(lambda flash: flash.program(offset, data), None, self.operations * SCATTERED_PICTURES + seed)
        super().program(offset, data)

    def erase(self, sector):
        for seed in range(1, ERASE_PICTURES + 1):
            self._cut(lambda flash: flash.erase(sector), -1, self.operations * ERASE_PICTURES + seed)
        super().erase(sector)

    def _cut(self, operate, whole, seed):
        torn = part(bytearray(self.memory), self.unit_bytes, seed + 1)
        torn.cut_at(0, whole if whole is not None else -1, scattered=whole is None)
        try:
            operate(torn)
        except BaseException as cut:
            assert type(cut).__name__ == "PowerCut"
        torn.power_up()
        self._oracle.check(torn, (self.operations, whole, seed))


@dataclass(frozen=True)
class Tally:
    """What was tried: cuts, laps of the region, records overwritten unread and numbers too many retired at the most."""

    unit_bytes: int
    cuts: int
    laps: float
    overflowed: int
    retired: int


def run(unit_bytes):
    """Run the workload and return its Tally; AssertionError for the first cut that broke a promise."""
    oracle = Oracle(unit_bytes)
    ring = Ring(CutEverywhere(oracle))
    overflowed = 0
    for step in range(STEPS):
        oracle.appending = ring.next_number
        ring.append(1, payload(ring.next_number))
        oracle.appended, oracle.appending = oracle.appending, 0
        is_lagging = 150 <= step < 330
        if step % 3 == 0 and not is_lagging:
            oracle.forgetting = ring.next_number - 3 if step % 2 else ring.next_number - 1
            if oracle.forgetting > ring.cursor:
                ring.forget(oracle.forgetting)
                oracle.forgotten = oracle.forgetting
            oracle.forgetting = 0
        if step % 5 == 0:
            ring.maintain()
        overflowed = max(overflowed, ring.oldest - ring.cursor - 1)
    return Tally(unit_bytes, oracle.cuts, ring.region.erases / SECTORS, overflowed, oracle.retired)
