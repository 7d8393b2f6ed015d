"""The figures of `fieldpost bench ring` as a person reads them, with the targets beside them."""

from collections.abc import Sequence
from dataclasses import dataclass

from host_tools.bench.on_disk import TURN_RECORDS, Spread, spread
from host_tools.bench.ring import RingFigures
from host_tools.bench.workload import BATCH_RECORDS, RECORD_BYTES


@dataclass(frozen=True)
class Goal:
    """A figure and what it is to reach: at most `limit`, or at least if `is_floor`."""

    text: str
    value: float
    limit: float
    unit: str = ""
    is_floor: bool = False

    @property
    def is_reached(self) -> bool:
        """Whether the figure is as good as it is to be."""
        return self.value >= self.limit if self.is_floor else self.value <= self.limit


def goals(figures: RingFigures) -> list[Goal]:
    """Return what the ring set out to reach, and what it has reached."""
    ours = figures.ring
    return [
        Goal("bytes programmed for each byte of payload", ours.programmed_ratio, 1.3),
        Goal("erases for each record", ours.erases, 0.025),
        Goal("appends that wait for an erase", ours.appends_that_erase, 0.0),
        Goal("durable appends/s over SQLite's", figures.appends_vs_sqlite.median, 1.5, "x", True),
        Goal("in groups of 10 over SQLite's one by one", figures.groups_vs_sqlite_records.median, 15, "x", True),
        Goal("flash for a BME280 reading with its frame", figures.bme280.bytes_each, 28, " B"),
    ]


def lines(figures: RingFigures) -> list[str]:
    """Return the report, line by line."""
    return [
        *_on_flash(figures),
        "",
        *_on_disk(figures),
        "",
        *_recovery(figures),
        "",
        *_memory(figures),
        "",
        *_goals(figures),
    ]


def _on_flash(figures: RingFigures) -> list[str]:
    rows = [
        ("", "bytes", "for each", "erases", "ms per record", "ms per append", "appends that"),
        ("", "programmed", "byte", "", "(lower bound)", "p50 / worst", "wait for erase"),
    ]
    for one in figures.flash:
        rows.append(
            (
                one.title,
                f"{one.bytes_programmed:.1f}",
                f"{one.programmed_ratio:.2f}x",
                f"{one.erases:.4f}",
                f"{one.modelled_ms:.2f} ({one.modelled_by_bytes_ms:.2f})",
                f"{one.append_p50_ms:.1f} / {one.append_worst_ms:.1f}",
                f"{one.appends_that_erase * one.records:.0f} of {one.records}",
            )
        )
    heading = (
        f"On a flash part, per record of {RECORD_BYTES} B, taken away in batches of {BATCH_RECORDS} "
        "(modelled: page program 0.7 ms, sector erase 45 ms)"
    )
    return [heading, *_table(rows)]


def _on_disk(figures: RingFigures) -> list[str]:
    rows: list[tuple[str, ...]] = [("", "append", "in groups of 10", "get + ack", "in groups of 10")]
    for one in figures.disk:
        kinds = (one.appends, one.grouped_appends, one.get_acks, one.grouped_get_acks)
        rows.append((one.title, *(f"{spread(kind).median:.0f}" for kind in kinds)))
    heading = (
        f"On this disk ({figures.disk_kind}), records per second, all durable: "
        f"median of {len(figures.disk[0].appends)} turns of {TURN_RECORDS} in {figures.effort.rounds} rounds"
    )
    compared = [
        ("ring over SQLite, each record by itself", _spread(figures.appends_vs_sqlite)),
        ("ring in groups of 10 over SQLite one by one", _spread(figures.groups_vs_sqlite_records)),
        ("ring in groups of 10 over SQLite in groups of 10", _spread(figures.groups_vs_sqlite_groups)),
        ("get + ack, ring over persist-queue", _spread(figures.get_acks_vs_persist_queue)),
    ]
    return [heading, *_table(rows), "Turn by turn: median (quartiles)", *_table(compared)]


def _recovery(figures: RingFigures) -> list[str]:
    rows = [("region", "reads", "bytes read")]
    rows += [(f"{found.kib} KiB", str(found.reads), str(found.bytes_read)) for found in figures.openings]
    return ["Opening a full ring (nothing is written)", *_table(rows)]


def _memory(figures: RingFigures) -> list[str]:
    found, readings = figures.ram, figures.bme280
    rows = [
        ("code of the ring", f"{found.code_bytes} B, {found.opening_bytes} B while it is opened"),
        ("an open ring", f"{found.ring_bytes} B"),
        ("a reader", f"{found.reader_bytes} B"),
        ("more after 1500 appends", f"{found.grown_bytes} B"),
        ("taken by an append, and free again", f"{found.append_heap_bytes} B"),
        ("taken by reading a record, and free again", f"{found.get_heap_bytes} B"),
        ("code of the whole agent, ring and drivers included", f"{found.agent_code_bytes} B"),
        ("the same with the modules in ROM, as a Pico W has them in flash", f"{found.agent_code_in_rom_bytes} B"),
        ("append, on this machine", f"{1e6 / found.append_us:.0f}/s"),
        ("get + ack, each for itself", f"{1e6 / (found.get_us + found.ack_us):.0f}/s"),
    ]
    word = "4 bytes, as on boards" if found.word_bytes == 4 else "8 bytes: boards have 4, and take about 70 % of it"
    return [
        f"On MicroPython {found.version}, words of {word}",
        *_table(rows),
        f"BME280: {readings.bytes_each} B of flash for a reading with its frame, "
        f"at least {readings.per_mib} readings in 1 MiB",
    ]


def _goals(figures: RingFigures) -> list[str]:
    rows = [("", "measured", "to reach", "")]
    for goal in goals(figures):
        sign = "at least" if goal.is_floor else "at most"
        verdict = "reached" if goal.is_reached else "NOT REACHED"
        rows.append((goal.text, f"{goal.value:.4g}{goal.unit}", f"{sign} {goal.limit:g}{goal.unit}", verdict))
    return ["Targets", *_table(rows)]


def _spread(found: Spread) -> str:
    return f"{found.median:.2f}x ({found.low:.2f} to {found.high:.2f})"


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lay out rows of equal length: the first column to the left, all others to the right."""
    first, *widths = (max(len(row[column]) for row in rows) for column in range(len(rows[0])))
    laid_out = []
    for row in rows:
        cells = [row[0].ljust(first), *(cell.rjust(width) for cell, width in zip(row[1:], widths, strict=True))]
        laid_out.append(("  " + "  ".join(cells)).rstrip())
    return laid_out
