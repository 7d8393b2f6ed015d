"""`fieldpost simulate`: years of faults against the agent's own core. Exit 1 if a promise was broken."""

import json
import sys
import time
from typing import Annotated

import typer

from host_tools.cli.arguments import AsJson
from host_tools.errors import UserError
from host_tools.simulate.campaign import Report, run_all
from host_tools.simulate.life import live

_YEARS_DEFAULT = 0.02
_SEEDS_DEFAULT = 20
_PROGRESS_S = 2.0


def run(
    seeds: Annotated[int | None, typer.Option("--seeds", help="How many lives; 20, or one with --seed.")] = None,
    years: Annotated[float, typer.Option("--years", help="Simulated years of each life.")] = _YEARS_DEFAULT,
    seed: Annotated[int | None, typer.Option("--seed", help="Begin with this life: alone, it replays.")] = None,
    trace: Annotated[bool, typer.Option("--trace", help="With --seed: tell everything that happens.")] = False,
    mutants: Annotated[bool, typer.Option("--mutants", help="Break the core on purpose: is it caught?")] = False,
    as_json: AsJson = False,
) -> None:
    """Drive the agent's core through years of faults.

    The code that runs on the board, with a simulated clock, flash, link, hub, sensor and pins. Judges check that
    nothing is lost and every command acts once. Exit 1 if a promise was broken: the seed replays it.
    """
    if seeds is None:
        seeds = _SEEDS_DEFAULT if seed is None else 1
    if seeds < 1 or not 0 < years <= 1000:
        raise UserError(f"--seeds {seeds} --years {years:g}: at least 1 life, of up to 1000 years")
    if trace and (seed is None or seeds > 1 or mutants):
        raise UserError("--trace tells one life: name it with --seed, and leave --seeds and --mutants out")
    first = 1 if seed is None else seed
    if trace:
        report = Report()
        began = time.monotonic()
        report.add(live(first, years, print))
        report.lives_s = report.wall_s = time.monotonic() - began
    else:
        report = run_all(range(first, first + seeds), years, mutants, _Progress(years))
    print(json.dumps(report.as_json()) if as_json else _text(report))
    if not report.is_whole:
        raise typer.Exit(1)


class _Progress:
    """A line on stderr now and then, and each failure at once."""

    def __init__(self, years: float) -> None:
        self._years = years
        self._shown = time.monotonic()
        self._failures = 0

    def __call__(self, report: Report, what: str) -> None:
        for failed in report.failures[self._failures :]:
            print(
                f"seed {failed.seed} failed at {failed.failure}\n"
                f"  replay: fieldpost simulate --seed {failed.seed} --years {self._years:g} --trace",
                file=sys.stderr,
            )
        self._failures = len(report.failures)
        if time.monotonic() - self._shown >= _PROGRESS_S:
            self._shown = time.monotonic()
            print(f"{report.wall_s:.0f} s: {_sums(report)}, {len(report.failures)} failures; {what}", file=sys.stderr)


def _sums(report: Report) -> str:
    faults = sum(report.faults.values())
    return (
        f"{report.seeds} lives, {report.device_years:.2f} device-years, {faults} faults "
        f"({report.faults_per_s:.0f} a second, {report.faults_per_cpu_s:.0f} in one of a processor), "
        f"{report.power_cuts} power cuts"
    )


def _text(report: Report) -> str:
    lines = [
        _sums(report),
        *(f"  {count:8}  {kind}" for kind, count in report.faults.most_common()),
        f"{report.delivered} records delivered, {report.lost} reported lost, {report.repeated} came again; "
        f"{report.commands} commands answered",
    ]
    for name, outcome in report.mutants.items():
        fate = "NOT CAUGHT" if outcome is None else f"caught by seed {outcome.seed}: {outcome.failure}"
        lines.append(f"mutant: {name}: {fate.splitlines()[0]}")
    for failed in report.failures:
        lines.append(f"FAILED seed {failed.seed} at {failed.failure}")
    lines.append(f"{len(report.failures)} failures in {report.wall_s:.1f} s")
    return "\n".join(lines)
