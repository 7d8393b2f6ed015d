"""The whole of `fieldpost bench ring`: every contestant, every measure, one run."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from host_tools.bench import Report, disk_kind, memory, on_disk, on_flash, readings, recovery
from host_tools.bench.flash_part import SECTOR_BYTES
from host_tools.bench.littlefs_on_flash import PROG_SIZES, LittlefsOnFlash
from host_tools.bench.on_disk import DiskFigures, Spread, ratio, spread
from host_tools.bench.on_flash import FlashContestant, FlashFigures
from host_tools.bench.persist_queue_on_disk import PersistQueueOnDisk
from host_tools.bench.ring_on_disk import RingOnDisk
from host_tools.bench.ring_on_flash import RingOnFlash
from host_tools.bench.sqlite_on_disk import SqliteOnDisk
from host_tools.bench.workload import RECORD_BYTES
from host_tools.errors import UserError

_SECTORS = 64  # 256 KiB: what an ESP32 with 4 MiB spares without a change to its partitions
_RECOVERY_SECTORS = 256  # the region whose recovery is the figure: 1 MiB
_HALF = _SECTORS * SECTOR_BYTES // 2
_ESP32, _PICO = PROG_SIZES["ESP32"], PROG_SIZES["Pico"]


@dataclass(frozen=True)
class Effort:
    """How long to measure: records on the flash part, records and rounds on the disk, regions to recover."""

    flash_records: int = 4000
    disk_records: int = 500
    rounds: int = 9
    recovery_sizes: tuple[int, ...] = recovery.SIZES


QUICK = Effort(flash_records=500, disk_records=300, rounds=3, recovery_sizes=recovery.QUICK_SIZES)


@dataclass(frozen=True)
class RingFigures:
    """What was measured; the contestants in the order in which they are shown, the ring first."""

    flash: list[FlashFigures]
    disk: list[DiskFigures]
    disk_kind: str
    openings: list[recovery.Recovery]
    bme280: readings.Readings
    ram: memory.Memory
    effort: Effort

    @property
    def ring(self) -> FlashFigures:
        """The ring on an ESP32's flash."""
        return _of(self.flash, RING)

    @property
    def littlefs(self) -> FlashFigures:
        """One littlefs file on an ESP32's flash, synced after each record."""
        return _of(self.flash, LITTLEFS)

    @property
    def recovery_of_1_mib(self) -> recovery.Recovery:
        """What opening a full ring of 1 MiB reads."""
        return next(found for found in self.openings if found.sectors == _RECOVERY_SECTORS)

    @property
    def appends_vs_sqlite(self) -> Spread:
        """Records a second, each durable by itself: the ring's over SQLite's."""
        ours, sqlite, _ = self.disk
        return ratio(ours.appends, sqlite.appends)

    @property
    def groups_vs_sqlite_records(self) -> Spread:
        """Records a second, in groups of ten in the ring over one by one in SQLite."""
        ours, sqlite, _ = self.disk
        return ratio(ours.grouped_appends, sqlite.appends)

    @property
    def groups_vs_sqlite_groups(self) -> Spread:
        """Records a second, in groups of ten in both."""
        ours, sqlite, _ = self.disk
        return ratio(ours.grouped_appends, sqlite.grouped_appends)

    @property
    def get_acks_vs_persist_queue(self) -> Spread:
        """Records a second taken and acknowledged one by one: the ring's over persist-queue's."""
        ours, _, persist_queue = self.disk
        return ratio(ours.get_acks, persist_queue.get_acks)


RING = "ring, ESP32"
LITTLEFS = "littlefs, one file, ESP32"

_ON_FLASH: tuple[Callable[[], FlashContestant], ...] = (
    lambda: RingOnFlash(RING, _SECTORS),
    lambda: RingOnFlash("ring, ESP32, never a slack moment", _SECTORS, is_busy=True),
    lambda: RingOnFlash("ring, part with ECC of 16 bytes", _SECTORS, unit_bytes=16),
    lambda: RingOnFlash("ring, Pico W", _SECTORS, whole_pages=True),
    lambda: LittlefsOnFlash(LITTLEFS, _SECTORS, _ESP32, _HALF),
    lambda: LittlefsOnFlash("littlefs, one file, Pico W", _SECTORS, _PICO, _HALF),
    lambda: LittlefsOnFlash("littlefs, files of a sector, ESP32", _SECTORS, _ESP32, SECTOR_BYTES),
    lambda: LittlefsOnFlash("littlefs, files of a sector, Pico W", _SECTORS, _PICO, SECTOR_BYTES),
    lambda: LittlefsOnFlash("littlefs, inline files of 2 records, ESP32", _SECTORS, _ESP32, 2 * RECORD_BYTES),
    lambda: LittlefsOnFlash("littlefs, inline files of 8 records, Pico W", _SECTORS, _PICO, 8 * RECORD_BYTES),
)
_ON_DISK = (RingOnDisk, SqliteOnDisk, PersistQueueOnDisk)


def measure(folder: Path, micropython: Path, effort: Effort, report: Report) -> RingFigures:
    """Run everything. folder: on the disk that is to be measured; what is made there is removed again.

    UserError if the folder cannot be written. RecordsDiffer if a contestant fails.
    """
    try:
        work = tempfile.TemporaryDirectory(prefix="fieldpost-bench-", dir=folder)
    except OSError as error:
        raise UserError(f"cannot work in {folder} ({error.strerror}): name another with --disk") from None
    with work as name:
        return RingFigures(
            flash=[on_flash.measure(make(), effort.flash_records, report) for make in _ON_FLASH],
            disk=on_disk.measure(_ON_DISK, Path(name), effort.disk_records, effort.rounds, report),
            disk_kind=disk_kind.of(folder),
            openings=recovery.measure(effort.recovery_sizes, report),
            bme280=readings.measure(),
            ram=memory.measure(micropython, report),
            effort=effort,
        )


def as_json(figures: RingFigures) -> dict[str, float | int]:
    """Return the figures by name; times in ms, sizes in bytes, ratios as medians of the turns."""
    ours, littlefs, found = figures.ring, figures.littlefs, figures.ram
    return {
        "programmed_ratio": round(ours.programmed_ratio, 3),
        "erases_per_record": round(ours.erases, 5),
        "littlefs_programmed_ratio": round(littlefs.programmed_ratio, 2),
        "littlefs_erases_per_record": round(littlefs.erases, 4),
        "modelled_ms_per_append": round(ours.modelled_ms, 3),
        "appends_vs_sqlite_full": round(figures.appends_vs_sqlite.median, 2),
        "appends_vs_sqlite_full_groups_of_10": round(figures.groups_vs_sqlite_records.median, 2),
        "get_ack_vs_persist_queue": round(figures.get_acks_vs_persist_queue.median, 2),
        "bytes_per_bme280_reading": figures.bme280.bytes_each,
        "readings_per_mib": figures.bme280.per_mib,
        "recovery_reads": figures.recovery_of_1_mib.reads,
        # Beyond what was asked for.
        "groups_of_10_vs_sqlite_groups_of_10": round(figures.groups_vs_sqlite_groups.median, 2),
        "append_worst_modelled_ms": round(ours.append_worst_ms, 2),
        "appends_that_wait_for_an_erase": round(ours.appends_that_erase * ours.records),
        "appends_per_s": round(spread(figures.disk[0].appends).median),
        "grouped_appends_per_s": round(spread(figures.disk[0].grouped_appends).median),
        "ring_code_bytes": found.code_bytes,
        "ring_heap_bytes": found.ring_bytes + found.reader_bytes,
        "agent_code_bytes": found.agent_code_bytes,
        "ring_code_in_rom_bytes": found.code_in_rom_bytes,
        "agent_code_in_rom_bytes": found.agent_code_in_rom_bytes,
        "append_heap_bytes": found.append_heap_bytes,
        "get_heap_bytes": found.get_heap_bytes,
        "micropython_appends_per_s": round(1e6 / found.append_us),
        "micropython_get_acks_per_s": round(1e6 / (found.get_us + found.ack_us)),
        "word_bytes": found.word_bytes,
    }


def _of(figures: list[FlashFigures], title: str) -> FlashFigures:
    return next(one for one in figures if one.title == title)
