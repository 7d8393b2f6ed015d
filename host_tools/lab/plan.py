"""What happens in a scenario and when: made once from the options and a seed, before anything starts.

    0 s        15 s ......... 25 s    35 s .. 37 s              60 s
    power on   link down      up      power off, on             sensor off, drain, count

A plan is data. `timeline` gives its steps in order; the runner only carries them out, so the same options
and the same seed give the same run.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from host_tools.errors import UserError
from host_tools.lab.quantities import Span

COMMANDS_MAX = 1000
COMMAND_INTERVAL_S = 3.0
POWER_OFF_S = 2.0
FLASH_CUTS_MAX = 100_000
# A board begins with a handful of operations (boot record, sector, anchor) and goes on with one for each reading.
FLASH_OPERATION_MAX = 16
REDELIVERED_SHARE = 0.3
# A pulse that is cut between its journal entry and its edge is, by design, answered "interrupted" and never made up
# for. A scenario that is to count every effect sends nothing so shortly before a cut, and its runner lets what is
# under way come to its end; cuts in the middle of commands are what tests/power/test_command_cuts.py is for.
QUIET_BEFORE_CUT_S = 0.5
_EDGE_S = 1.0  # no command at the very beginning and end of a run


@dataclass(frozen=True, order=True)
class Step:
    """One thing to do: link_down, link_up, power_off, power_on, pulse or set, `at_s` after the start."""

    at_s: float
    action: str


@dataclass(frozen=True)
class Plan:
    """A scenario. Times in seconds from its start; `redelivered_share` of the command PUBACKs get lost.

    flash_cuts: how many times the power goes inside a program or erase, as often as the board gets there; the
    scenario lasts until all are done.
    """

    length_s: float
    outages: tuple[Span, ...]
    power_cuts: tuple[Span, ...]
    commands: tuple[Step, ...]
    redelivered_share: float
    seed: int
    flash_cuts: int = 0

    def flash_operations(self) -> Iterator[int]:
        """Yield, for each cut inside a flash operation, in which operation after power-on it comes (1 = first)."""
        chance = random.Random(f"{self.seed} flash")
        for _ in range(self.flash_cuts):
            yield chance.randint(1, FLASH_OPERATION_MAX)

    def timeline(self) -> list[Step]:
        """Return every step in the order of time."""
        steps = list(self.commands)
        for outage in self.outages:
            steps += [Step(outage.start_s, "link_down"), Step(outage.end_s, "link_up")]
        for cut in self.power_cuts:
            steps += [Step(cut.start_s, "power_off"), Step(cut.end_s, "power_on")]
        return sorted(steps)


def make_plan(
    length_s: float,
    outages: Sequence[Span] = (),
    power_cuts: Sequence[Span] = (),
    commands: int | None = None,
    redelivered_share: float = REDELIVERED_SHARE,
    seed: int = 0,
    flash_cuts: int = 0,
) -> Plan:
    """Return the plan. commands: how many, spread over the run; None for one every COMMAND_INTERVAL_S.

    Raises UserError if something lies outside the run, or two outages or two cuts overlap.
    """
    _check_spans("outage", outages, length_s)
    _check_spans("power cut", power_cuts, length_s)
    if not 0 <= flash_cuts <= FLASH_CUTS_MAX:
        raise UserError(f"{flash_cuts} cuts inside flash operations: 0 to {FLASH_CUTS_MAX}")
    if flash_cuts and power_cuts:
        raise UserError("--flash-cuts and --power-cut both switch the board: choose one of them")
    count = max(1, int(length_s / COMMAND_INTERVAL_S)) if commands is None else commands
    if not 0 <= count <= COMMANDS_MAX:
        raise UserError(f"{count} commands are not in the range of a scenario: 0 to {COMMANDS_MAX}")
    if not 0 <= redelivered_share < 1:
        raise UserError(f"a share of {redelivered_share:g} redelivered commands makes no sense: 0 to below 1")
    return Plan(
        length_s=length_s,
        outages=tuple(sorted(outages, key=lambda span: span.start_s)),
        power_cuts=tuple(sorted(power_cuts, key=lambda span: span.start_s)),
        commands=_commands(count, length_s, power_cuts, random.Random(seed)),
        redelivered_share=redelivered_share,
        seed=seed,
        flash_cuts=flash_cuts,
    )


def _commands(count: int, length_s: float, cuts: Sequence[Span], chance: random.Random) -> tuple[Step, ...]:
    """Spread the commands over the run, each at a random place of its own share of the time."""
    edge_s = min(_EDGE_S, length_s / 4)
    share_s = (length_s - 2 * edge_s) / max(1, count)
    steps = []
    for index in range(count):
        at_s = edge_s + (index + chance.random()) * share_s
        for cut in cuts:
            if cut.start_s - QUIET_BEFORE_CUT_S < at_s < cut.start_s:
                at_s = cut.start_s  # the board is off: the hub keeps it until the power returns
        steps.append(Step(at_s, chance.choice(("pulse", "set"))))
    return tuple(sorted(steps))


def _check_spans(what: str, spans: Sequence[Span], length_s: float) -> None:
    free_from_s = 0.0
    for span in sorted(spans, key=lambda span: span.start_s):
        if span.end_s > length_s:
            raise UserError(
                f"the {what} from {span.start_s:g} s to {span.end_s:g} s ends after the run of "
                f"{length_s:g} s: make --for longer"
            )
        if span.start_s < free_from_s:
            raise UserError(f"two {what}s overlap at {span.start_s:g} s: let the first end before the second")
        free_from_s = span.end_s
