"""Runs the contestants on this machine's disk, by turns and in several rounds, since a disk is never quiet.

In each round every contestant begins anew. A kind of work is cut in slices that the contestants do one after
the other, so that what else the machine does meets all of them alike.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from host_tools.bench import RecordsDiffer, Report
from host_tools.bench.workload import BATCH_RECORDS, records

_SLICE_RECORDS = 100  # a multiple of the batch


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
    """Records a second of one contestant, one number for each round."""

    title: str
    appends: list[float] = field(default_factory=list)
    grouped_appends: list[float] = field(default_factory=list)
    get_acks: list[float] = field(default_factory=list)
    grouped_get_acks: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Spread:
    """A median, and the lowest and the highest of the rounds."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return the median of `values` and how far they lie apart."""
    return Spread(statistics.median(values), min(values), max(values))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return how often `theirs` goes into `ours`, round by round."""
    return spread([one / other for one, other in zip(ours, theirs, strict=True)])


Make = Callable[[Path], DiskContestant]


def measure(makers: Sequence[Make], folder: Path, count: int, rounds: int, report: Report) -> list[DiskFigures]:
    """Run `count` records of each kind of work through every contestant, `rounds` times.

    folder: where each contestant gets a folder of its own. RecordsDiffer if a record does not come back as it was.
    """
    count = max(count // _SLICE_RECORDS, 1) * _SLICE_RECORDS
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
    for (_, figures), seconds in zip(turns, _by_turns(turns, one_by_one, _append), strict=True):
        figures.appends.append(count / seconds)
    for (_, figures), seconds in zip(turns, _by_turns(turns, grouped, _append_groups), strict=True):
        figures.grouped_appends.append(count / seconds)
    for contestant, _ in turns:
        contestant.reopen()
    for (_, figures), seconds in zip(turns, _by_turns(turns, expected[:count], _get_and_ack), strict=True):
        figures.get_acks.append(count / seconds)
    for (_, figures), seconds in zip(turns, _by_turns(turns, expected[count:], _get_and_ack_groups), strict=True):
        figures.grouped_get_acks.append(count / seconds)


_Work = Callable[[DiskContestant, Sequence[bytes]], None]


def _by_turns(turns: list[tuple[DiskContestant, DiskFigures]], payloads: list[bytes], work: _Work) -> list[float]:
    """Return the seconds that `work` with `payloads` took each contestant."""
    seconds = [0.0] * len(turns)
    for start in range(0, len(payloads), _SLICE_RECORDS):
        piece = payloads[start : start + _SLICE_RECORDS]
        for index, (contestant, _) in enumerate(turns):
            began = time.perf_counter()
            work(contestant, piece)
            seconds[index] += time.perf_counter() - began
    return seconds


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
