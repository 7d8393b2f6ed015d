"""What came of a fleet: whether everything arrived, and what it took of the machine."""

from dataclasses import dataclass

# Readings that came so much later than they should have, in percent of all, are the machine's fault.
_LATE_PERCENT = 2


@dataclass(frozen=True)
class Outcome:
    """What came of a fleet.

    conversions: readings that the sensors were asked for. due, taken: those that `seconds` should have seen, and saw.
    silent: boards that never got through to the hub. has_drained: whether each board had nothing left to send at one
    moment after its last reading; waiting: records that came after that moment, such as that of the sensor's end.
    Processor, of one board, in ms each second while the run lasted: its own, what the hub and this process spent on it,
    and for how long it waited because the machine was busy. processors: of the machine; load: average of 5 minutes.
    """

    boards: int
    interval_ms: int
    seconds: float
    started_in_s: float
    conversions: int
    due: int
    taken: int
    messages: int
    records: int
    duplicates: int
    lost_reported: int
    waiting: int
    missing: int
    gaps: int
    unreadable: int
    reconnects: int
    resets: int
    has_drained: bool
    silent: tuple[str, ...]
    hub_rss_mb: float
    board_cpu_ms_per_s: float
    board_starved_ms_per_s: float
    hub_cpu_ms_per_s: float
    supervisor_cpu_ms_per_s: float
    processors: int
    load: float

    @property
    def is_whole(self) -> bool:
        """Whether everything arrived, from every board."""
        return self.has_drained and not (self.missing or self.gaps or self.unreadable or self.silent)

    @property
    def is_late(self) -> bool:
        """Whether the machine was too busy for the rate that was asked for."""
        return self.taken < self.due * (100 - _LATE_PERCENT) / 100

    @property
    def cost_ms_per_s(self) -> float:
        """Processor for one board each second, everything included."""
        return self.board_cpu_ms_per_s + self.hub_cpu_ms_per_s + self.supervisor_cpu_ms_per_s


def lines(outcome: Outcome) -> list[str]:
    """Return what came of it, for people."""
    cost_ms = outcome.cost_ms_per_s
    found = [
        f"{outcome.boards} boards, one reading every {outcome.interval_ms} ms, {outcome.seconds:.0f} s"
        f" after {outcome.started_in_s:.0f} s until all were on",
        f"{outcome.conversions} readings begun, {outcome.records} records in {outcome.messages} messages at the hub,"
        f" {outcome.duplicates} of them twice",
        f"missing {outcome.missing}, gaps {outcome.gaps}, reported lost {outcome.lost_reported},"
        f" still waiting {outcome.waiting}, connected again {outcome.reconnects}, resets {outcome.resets}",
        f"processor each second: a board {outcome.board_cpu_ms_per_s:.2f} ms, the hub for it"
        f" {outcome.hub_cpu_ms_per_s:.2f} ms, the emulator {outcome.supervisor_cpu_ms_per_s:.2f} ms; so"
        f" {outcome.processors * 1000 / max(cost_ms, 0.01):.0f} would take all of this machine",
        f"a board waited {outcome.board_starved_ms_per_s:.0f} ms each second for a processor (load {outcome.load:.1f}"
        f" on {outcome.processors}); the hub took {outcome.hub_rss_mb:.0f} MB",
    ]
    if outcome.is_late:
        found.append(
            f"THE MACHINE WAS TOO BUSY: {outcome.taken} readings of {outcome.due} were taken in time; this is no"
            f" measurement of {outcome.boards} boards at that rate"
        )
    if outcome.silent:
        found.append(f"never heard of: {', '.join(outcome.silent[:10])}")
    return found
