"""Many lives on all cores, their sums, and whether the mutants were caught."""

import gc
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from host_tools.simulate.life import YEAR_MS, Outcome, live
from host_tools.simulate.mutants import MUTANTS, caught

_GC_THRESHOLD = 50_000


@dataclass
class Report:
    """Sums over all seeds. failures: the outcomes that broke the promise. mutants: by name, who caught it.

    lives_s, cpu_s: how long the lives took, and of the processor. wall_s: the lives and the hunt for mutants.
    """

    seeds: int = 0
    device_years: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    power_cuts: int = 0
    delivered: int = 0
    lost: int = 0
    repeated: int = 0
    commands: int = 0
    failures: list[Outcome] = field(default_factory=list)
    mutants: dict[str, Outcome | None] = field(default_factory=dict)
    lives_s: float = 0.0
    cpu_s: float = 0.0
    wall_s: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Count one life."""
        self.seeds += 1
        self.device_years += outcome.device_ms / YEAR_MS
        self.faults += outcome.faults
        self.power_cuts += outcome.power_cuts
        self.cpu_s += outcome.cpu_s
        self.delivered += outcome.delivered
        self.lost += outcome.lost
        self.repeated += outcome.repeated
        self.commands += outcome.commands
        if outcome.failure is not None:
            self.failures.append(outcome)

    @property
    def mutants_caught(self) -> int:
        """How many mutants some seed has caught."""
        return sum(outcome is not None for outcome in self.mutants.values())

    @property
    def faults_per_s(self) -> float:
        """Faults that were lived through in a second of wall-clock time, on all cores."""
        return sum(self.faults.values()) / self.lives_s if self.lives_s else 0.0

    @property
    def faults_per_cpu_s(self) -> float:
        """Faults in a second of one processor's time: what else the machine does matters little to it."""
        return sum(self.faults.values()) / self.cpu_s if self.cpu_s else 0.0

    @property
    def is_whole(self) -> bool:
        """Whether no promise was broken and every mutant was caught."""
        return not self.failures and self.mutants_caught == len(self.mutants)

    def as_json(self) -> dict[str, Any]:
        """Return the sums as the command line prints them."""
        return {
            "seeds": self.seeds,
            "device_years": round(self.device_years, 3),
            "faults": sum(self.faults.values()),
            "faults_per_s": round(self.faults_per_s),
            "faults_per_cpu_s": round(self.faults_per_cpu_s),
            "power_cuts": self.power_cuts,
            "failures": len(self.failures),
            "mutants": len(self.mutants),
            "mutants_caught": self.mutants_caught,
            "wall_s": round(self.wall_s, 1),
        }


def run_all(
    seeds: range,
    years: float,
    with_mutants: bool,
    on_progress: Callable[[Report, str], None] = lambda report, now: None,
) -> Report:
    """Live all seeds, then hunt the mutants; `on_progress` hears of each life and each mutant."""
    report = Report()
    started = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(min(os.cpu_count() or 1, 8), _begin_worker) as pool:
        for outcome in pool.imap_unordered(_live, ((seed, years) for seed in seeds)):
            report.add(outcome)
            report.wall_s = report.lives_s = time.monotonic() - started
            on_progress(report, f"seed {outcome.seed}")
        if with_mutants:
            for name, catcher in pool.imap_unordered(_hunt, MUTANTS):
                report.mutants[name] = catcher
                report.wall_s = time.monotonic() - started
                on_progress(report, f"mutant {name}")
    report.wall_s = time.monotonic() - started
    return report


def _live(task: tuple[int, float]) -> Outcome:
    return live(*task)


def _hunt(name: str) -> tuple[str, Outcome | None]:
    return name, caught(name)


def _begin_worker() -> None:
    """Ctrl-C is for the parent, which ends its children. A life makes little garbage that goes in circles."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(_GC_THRESHOLD)
