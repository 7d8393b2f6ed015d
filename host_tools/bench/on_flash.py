"""Runs a contestant on the flash part: append, take away in batches, switch off, look what is there."""

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from host_tools.bench import RecordsDiffer, Report
from host_tools.bench.flash_part import MeteredFlash, Tally
from host_tools.bench.workload import BATCH_RECORDS, RECORD_BYTES, records

# What is still waiting when the power goes: more than a batch, and not a multiple of it.
_BACKLOG_RECORDS = 3 * BATCH_RECORDS + 7
# Not counted: a new ring or file system is begun once in a device's life.
_WARM_UP_RECORDS = 100
_REPORT_EVERY = 100


class FlashContestant(Protocol):
    """A queue on a MeteredFlash. What `append` took must be durable when it returns."""

    title: str
    flash: MeteredFlash

    def append(self, payload: bytes) -> None:
        """Store one record."""

    def read(self, count: int) -> list[bytes]:
        """Return the next `count` records that were not read yet, in order."""

    def acknowledge(self) -> None:
        """Let go of everything that was read."""

    def idle(self) -> None:
        """Nothing else is going on: a chance to erase ahead."""

    def reopen(self) -> None:
        """Begin again from what is on flash; the next read gives the oldest record that was not acknowledged."""


@dataclass(frozen=True)
class FlashFigures:
    """What one contestant took, per record unless a name says otherwise.

    programmed_ratio: bytes programmed for each byte of payload. modelled_ms: everything there was to do, divided
    by the records. append_*_ms: the calls of `append` alone.
    """

    title: str
    records: int
    bytes_programmed: float
    programmed_ratio: float
    programs: float
    erases: float
    bytes_read: float
    modelled_ms: float
    modelled_by_bytes_ms: float
    append_p50_ms: float
    append_p99_ms: float
    append_worst_ms: float
    appends_that_erase: float


def measure(contestant: FlashContestant, count: int, report: Report) -> FlashFigures:
    """Run `count` records through `contestant`. RecordsDiffer if one of them does not come back as it was."""
    flash = contestant.flash
    waiting: deque[bytes] = deque()
    appends: list[float] = []
    erasing = 0
    before = Tally.of(flash)
    for number, payload in enumerate(records(_WARM_UP_RECORDS + count), 1 - _WARM_UP_RECORDS):
        if number == 1:
            before = Tally.of(flash)
            appends.clear()
            erasing = 0
        at = Tally.of(flash)
        contestant.append(payload)
        took = Tally.of(flash) - at
        appends.append(took.modelled_ms)
        erasing += took.erases > 0
        waiting.append(payload)
        if len(waiting) >= _BACKLOG_RECORDS + BATCH_RECORDS:
            _take(contestant, waiting, BATCH_RECORDS)
            contestant.acknowledge()
            contestant.idle()
        if number % _REPORT_EVERY == 0:
            report(contestant.title, number / count)
    total = Tally.of(flash) - before
    contestant.reopen()
    _take(contestant, waiting, len(waiting))
    if flash.violations:
        raise RecordsDiffer(f"{contestant.title}: {flash.violations} bytes asked flash to set a bit without an erase")
    appends.sort()
    return FlashFigures(
        title=contestant.title,
        records=count,
        bytes_programmed=total.bytes_programmed / count,
        programmed_ratio=total.bytes_programmed / count / RECORD_BYTES,
        programs=total.programs / count,
        erases=total.erases / count,
        bytes_read=total.bytes_read / count,
        modelled_ms=total.modelled_ms / count,
        modelled_by_bytes_ms=total.modelled_by_bytes_ms / count,
        append_p50_ms=appends[count // 2],
        append_p99_ms=appends[count * 99 // 100],
        append_worst_ms=appends[-1],
        appends_that_erase=erasing / count,
    )


def _take(contestant: FlashContestant, waiting: deque[bytes], count: int) -> None:
    for found in contestant.read(count):
        if not waiting or found != waiting.popleft():
            raise RecordsDiffer(f"{contestant.title}: a record is not the one that was appended")
        count -= 1
    if count:
        raise RecordsDiffer(f"{contestant.title}: {count} records did not come back")
