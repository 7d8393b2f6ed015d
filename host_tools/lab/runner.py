"""Carries out a plan on a lab, lets the board drain, and counts what came of it.

    power off, note where the counters stand, power on
    the plan's steps at their times, and its cuts inside flash operations as the board gets to them
    heal: link up, power on, no more lost acknowledgements
    unplug the sensor between two readings, wait until ring and hub have nothing left for one another
    power off, read the flash, audit

Nothing that is counted here is the agent's word: readings begun and pin edges come from the emulated
hardware, records from the hub's store and from the flash.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from host_tools.audit import RingTail
from host_tools.lab.effects import Sent, count_levels, count_pulses
from host_tools.lab.lab import Lab, Report
from host_tools.lab.plan import Plan

DRAIN_S_MAX = 240.0  # longer than the agent's longest back-off and a full ring need
_DRAIN_POLL_S = 0.2
_QUIET_POLL_S = 0.02
# How long a cut waits for commands under way: a pulse that is cut off is, by design, not made up for (plan.py).
QUIET_S_MAX = 2.0
FLASH_CUT_S_MAX = 180.0  # a board that samples gets to its next operations long before
_FLASH_CUTS_PER_REPORT = 20
PULSE_PIN, LEVEL_PIN = "relay", "led"
PULSE_MS = 60


@dataclass
class _Start:
    """Where the counters stood when the run began."""

    conversions: int
    edges: dict[str, int]
    bytes_programmed: int
    erases: int
    redelivered: int
    numbers: dict[str, int]  # the next one of each ring

    def next_number(self, ring: str) -> int:
        """Return the first number that `ring` gave out in this run."""
        return self.numbers.get(ring, 1)


@dataclass
class Outcome:
    """What a scenario came to. problems: what is not as it should be, in words."""

    counts: dict[str, Any]
    problems: list[str] = field(default_factory=list)


async def run(lab: Lab, plan: Plan, report: Report) -> Outcome:
    """Carry out `plan`. Raises UserError if the board does not begin to deliver at all."""
    return await _Run(lab, plan, report).run()


class _Run:
    """One run; its methods stand in the order in which they happen."""

    def __init__(self, lab: Lab, plan: Plan, report: Report) -> None:
        self._lab = lab
        self._plan = plan
        self._report = report
        self._begun_s = time.monotonic()
        self._sent: dict[str, list[Sent]] = {PULSE_PIN: [], LEVEL_PIN: []}
        self._sent_ids: list[str] = []
        self._last_set: tuple[str, int] | None = None

    async def run(self) -> Outcome:
        await self._lab.board.power_off()
        self._start = self._note_start()
        faults = self._lab.hub.faults
        faults.random.seed(self._plan.seed)
        faults.c2d_puback_loss = self._plan.redelivered_share
        await self._lab.board.power_on()
        await self._lab.await_first_reading()
        await asyncio.gather(self._follow_timeline(), self._cut_flash())
        faults.c2d_puback_loss = 0.0
        drained = await self._drain()
        tails = self._lab.tails()
        records = await self._count_records(tails)
        counts = self._count_hardware(tails, self._torn(records["lost_reported"])) | records
        counts |= {"seed": self._plan.seed, "wall_s": round(time.monotonic() - self._begun_s, 1)}
        problems = _problems(counts)
        if not drained:
            problems.append(
                f"not everything was delivered {DRAIN_S_MAX:g} s after the end; the board's last words: "
                + self._lab.last_words()
            )
        return Outcome(counts, problems)

    def _note_start(self) -> _Start:
        board = self._lab.board
        return _Start(
            conversions=board.bme280.conversions,
            edges={name: len(self._lab.pins[name].edges) for name in self._sent},
            bytes_programmed=board.flash.bytes_programmed,
            erases=board.flash.erases,
            redelivered=self._lab.hub.redelivered,
            numbers={tail.ring: tail.next_number for tail in self._lab.tails()},
        )

    async def _follow_timeline(self) -> None:
        start_s = time.monotonic()
        for step in self._plan.timeline():
            await asyncio.sleep(max(0.0, start_s + step.at_s - time.monotonic()))
            await self._do(step.action)
        await asyncio.sleep(max(0.0, start_s + self._plan.length_s - time.monotonic()))

    async def _cut_flash(self) -> None:
        """Let the power go inside one flash operation after the other, as the plan names them."""
        board = self._lab.board
        for count, operation in enumerate(self._plan.flash_operations(), 1):
            board.cut_power_at(operation)
            await board.wait_off(FLASH_CUT_S_MAX)
            await board.power_on()
            if count % _FLASH_CUTS_PER_REPORT == 0:
                self._report(f"{count} of {self._plan.flash_cuts} cuts inside flash operations")

    async def _do(self, action: str) -> None:
        board = self._lab.board
        if action in ("pulse", "set"):
            await self._command(action)
            return
        self._report(action.replace("_", " "))
        if action == "link_down":
            board.link.down()
        elif action == "link_up":
            board.link.up()
        elif action == "power_off":
            await self._commands_at_rest()
            await board.power_off()
        else:
            assert action == "power_on", action
            await board.power_on()

    async def _commands_at_rest(self) -> None:
        """Wait until no command is under way on the board; what waits at the hub for a link may wait on."""
        lab = self._lab
        deadline_s = time.monotonic() + QUIET_S_MAX
        while time.monotonic() < deadline_s and lab.board.link.is_up and lab.hub.is_connected(lab.device_id):
            if all(sent in lab.watch.results for sent in self._sent_ids):
                return
            await asyncio.sleep(_QUIET_POLL_S)

    async def _command(self, action: str) -> None:
        """Send a command whose effect makes an edge: a pulse, or the level that the pin has not."""
        message_id = f"scenario-{self._plan.seed}-{len(self._sent_ids)}-{sum(self._start.numbers.values())}"
        if action == "pulse":
            pin, level, name = PULSE_PIN, 1, "gpio.pulse"
            arguments = {"pin": pin, "width_ms": PULSE_MS}
        else:
            pin, level, name = LEVEL_PIN, 1 - self._expected_level(), "gpio.set"
            self._last_set = (message_id, level)
            arguments = {"pin": pin, "value": level}
        self._sent[pin].append(Sent(level, len(self._edges(pin))))
        self._sent_ids.append(message_id)
        await self._lab.send(name, arguments, message_id)

    def _expected_level(self) -> int:
        """Return the level that LEVEL_PIN will have when the commands that are still under way are done."""
        if self._last_set is not None and self._last_set[0] not in self._lab.watch.results:
            return self._last_set[1]
        level: int = self._lab.pins[LEVEL_PIN].level
        return level

    def _edges(self, pin: str) -> list[Any]:
        """Return what the pin did since the run began."""
        return list(self._lab.pins[pin].edges)[self._start.edges[pin] :]

    async def _drain(self) -> bool:
        """Heal, end the readings, switch off when nothing is left; return whether it came to that."""
        board = self._lab.board
        deadline_s = time.monotonic() + DRAIN_S_MAX
        board.link.up()
        if not board.powered:
            await board.power_on()
        self._report("draining")
        self._lab.unplug_sensor()
        while time.monotonic() < deadline_s:
            await asyncio.sleep(_DRAIN_POLL_S)
            if not self._is_drained():
                continue
            await board.power_off()
            # A record appended in the very moment of the switch waits on flash: once more.
            if self._is_drained():
                return True
            await board.power_on()
        await board.power_off()
        return False

    def _is_drained(self) -> bool:
        if self._lab.hub.pending(self._lab.device_id):
            return False
        tails = self._lab.tails()
        return bool(tails) and not any(tail.waiting or tail.overwritten for tail in tails)

    def _torn(self, lost: int) -> int:
        """Return how many numbers belong to no record: a program that a cut tore takes its number with it."""
        return min(lost, self._plan.flash_cuts + len(self._plan.power_cuts))

    def _count_hardware(self, tails: Sequence[RingTail], torn: int) -> dict[str, Any]:
        lab, start = self._lab, self._start
        board = lab.board
        pulses = count_pulses(self._sent[PULSE_PIN], self._edges(PULSE_PIN))
        levels = count_levels(self._sent[LEVEL_PIN], self._edges(LEVEL_PIN))
        statuses = [lab.watch.results[sent]["status"] for sent in self._sent_ids if sent in lab.watch.results]
        numbers = sum(tail.next_number - start.next_number(tail.ring) for tail in tails)
        events = sum(lab.watch.events_from(tail.ring, start.next_number(tail.ring)) for tail in tails)
        return {
            "sampled": board.bme280.conversions - start.conversions,
            "appended": numbers - events - torn,
            "events": events,
            "commands_sent": len(self._sent_ids),
            "commands_effective": pulses.effective + levels.effective,
            "effects_repeated": pulses.repeated + levels.repeated,
            "commands_answered": len(statuses),
            "commands_interrupted": statuses.count("interrupted"),
            "commands_redelivered": lab.hub.redelivered - start.redelivered,
            "heap_peak_bytes": board.heap_peak_bytes,
            "flash_bytes_programmed": board.flash.bytes_programmed - start.bytes_programmed,
            "flash_erases": board.flash.erases - start.erases,
            "power_cuts": len(self._plan.power_cuts) + self._plan.flash_cuts,
            "outages": len(self._plan.outages),
        }

    async def _count_records(self, tails: Sequence[RingTail]) -> dict[str, Any]:
        """Count over the whole life of the board, which for one without a name is this run."""
        # The run is over: what still waits on the board did not arrive, and counts as missing.
        finding = await self._lab.judge([RingTail(tail.ring, tail.next_number) for tail in tails])
        names = ("delivered_unique", "duplicates", "lost_reported", "missing", "gaps", "out_of_order")
        return {name: finding.total(name) for name in names}


def _problems(counts: dict[str, Any]) -> list[str]:
    """Return what is not as it should be, in words."""
    found = []
    if counts["missing"] or counts["gaps"]:
        found.append(f"{counts['missing']} records are missing, in the middle of the sequence {counts['gaps']} times")
    unkept = counts["sampled"] - counts["appended"]
    if unkept > counts["power_cuts"]:
        found.append(f"{unkept} readings were begun and not kept, {counts['power_cuts']} power cuts explain one each")
    if unkept < 0:
        found.append(f"{-unkept} more readings were kept than were begun")
    ineffective = counts["commands_sent"] - counts["commands_effective"] - counts["commands_interrupted"]
    if ineffective > 0:
        found.append(f"{ineffective} commands had no effect and were not answered as interrupted")
    if counts["effects_repeated"]:
        found.append(f"{counts['effects_repeated']} effects came more than once")
    return found
