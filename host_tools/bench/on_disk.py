"""Runs the contestants on this machine's disk, by turns and in several rounds, since a disk is never quiet.

In each round every contestant begins anew. A kind of work is cut in turns that the contestants take one after
the other, and each turn is a figure: what else the machine does meets all of them alike, and a stall is one outlier
that a median does not follow.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from host_tools.bench import RecordsDiffer, Report
from host_tools.bench.workload import BATCH_RECORDS, records

TURN_RECORDS = 100  # a multiple of the batch


class DiskContestant(Protocol):
    """A queue in a folder, made there or found there. Every call is durable when it returns."""

    title: str

    def append(self, payload: bytes) -> None:
        """Store one record."""

    def append_group(self, payloads: Sequence[bytes]) -> None:
        """Store some records, durable together."""

    def get_and_ack(self) -> bytes:
        """Return the oldest record and let go of it."""

    def get_and_ack_group(self, count: int) -> list[bytes]:
        """Return the `count` oldest records and let go of them together."""

    def reopen(self) -> None:
        """Begin again from what is on disk."""

    def close(self) -> None:
        """Let go of the files."""


@dataclass
class DiskFigures:
    """Records a second of one contestant, one number for each turn."""

    title: str
    appends: list[float] = field(default_factory=list)
    grouped_appends: list[float] = field(default_factory=list)
    get_acks: list[float] = field(default_factory=list)
    grouped_get_acks: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Spread:
    """A median, and the quartiles: half of all turns lie between `low` and `high`."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return the median of two or more `values` and how far they lie apart."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return how often `theirs` goes into `ours`, turn by turn."""
    return spread([one / other for one, other in zip(ours, theirs, strict=True)])


Make = Callable[[Path], DiskContestant]


def measure(makers: Sequence[Make], folder: Path, count: int, rounds: int, report: Report) -> list[DiskFigures]:
    """Run `count` records of each kind of work, whole turns of TURN_RECORDS, through every contestant, `rounds` times.

    folder: where each contestant gets a folder of its own. RecordsDiffer if a record does not come back as it was.
    """
    count = max(count // TURN_RECORDS, 1) * TURN_RECORDS
    figures: list[DiskFigures] = []
    for number in range(rounds):
        contestants = []
        for index, make in enumerate(makers):
            own = folder / f"{number}-{index}"
            own.mkdir()
            contestants.append(make(own))
        figures = figures or [DiskFigures(contestant.title) for contestant in contestants]
        turns = list(zip(contestants, figures, strict=True))
        _round(turns[number % len(turns) :] + turns[: number % len(turns)], count, number)
        for contestant in contestants:
            contestant.close()
        report(f"{rounds} rounds on this disk", (number + 1) / rounds)
    return figures


def _round(turns: list[tuple[DiskContestant, DiskFigures]], count: int, seed: int) -> None:
    one_by_one, grouped = list(records(count, 2 * seed)), list(records(count, 2 * seed + 1))
    expected = one_by_one + grouped
    _by_turns(turns, one_by_one, _append, lambda figures: figures.appends)
    _by_turns(turns, grouped, _append_groups, lambda figures: figures.grouped_appends)
    for contestant, _ in turns:
        contestant.reopen()
    _by_turns(turns, expected[:count], _get_and_ack, lambda figures: figures.get_acks)
    _by_turns(turns, expected[count:], _get_and_ack_groups, lambda figures: figures.grouped_get_acks)


def _by_turns(
    turns: list[tuple[DiskContestant, DiskFigures]],
    payloads: list[bytes],
    work: Callable[[DiskContestant, Sequence[bytes]], None],
    kind: Callable[[DiskFigures], list[float]],
) -> None:
    """Let all contestants do `work` with `payloads`, and add how fast each turn was to the figures of that kind."""
    for start in range(0, len(payloads), TURN_RECORDS):
        piece = payloads[start : start + TURN_RECORDS]
        for contestant, figures in turns:
            began = time.perf_counter()
            work(contestant, piece)
            kind(figures).append(len(piece) / (time.perf_counter() - began))


def _append(contestant: DiskContestant, payloads: Sequence[bytes]) -> None:
    for payload in payloads:
        contestant.append(payload)


def _append_groups(contestant: DiskContestant, payloads: Sequence[bytes]) -> None:
    for start in range(0, len(payloads), BATCH_RECORDS):
        contestant.append_group(payloads[start : start + BATCH_RECORDS])


def _get_and_ack(contestant: DiskContestant, payloads: Sequence[bytes]) -> None:
    for payload in payloads:
        if contestant.get_and_ack() != payload:
            raise RecordsDiffer(f"{contestant.title}: a record is not the one that was appended")


def _get_and_ack_groups(contestant: DiskContestant, payloads: Sequence[bytes]) -> None:
    for start in range(0, len(payloads), BATCH_RECORDS):
        expected = payloads[start : start + BATCH_RECORDS]
        if contestant.get_and_ack_group(len(expected)) != list(expected):
            raise RecordsDiffer(f"{contestant.title}: records are not the ones that were appended")
