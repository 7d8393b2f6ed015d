"""Commands on the whole device, with the power cut at every flash operation and around every edge of the pin.

Nothing here is the agent's word but its answers: edges come from the emulated pins, cuts from the emulated flash
and pins, what was noted from the journal as it lies on flash, and redelivery from the hub.

    arm a cut -> send -> (power goes -> power returns -> the hub delivers again) -> answered and acknowledged -> judge
"""

import asyncio
import contextlib
import itertools
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from fieldpost.commands.journal import ACTED, BEGUN, DONE, NEW, Journal, digest
from fieldpost.ring.layout import divide
from fieldpost.ring.log import Ring

from host_tools.lab.folder import LabFolder
from host_tools.lab.lab import Lab, running
from host_tools.lab.settings import Settings

PIN = "relay"
WIDTH_MS = 20
# The board's only reading is the one at its start, so that flash and link are the command's.
SAMPLE_INTERVAL_MS = 86_400_000
ANSWER_S_MAX = 180.0
EDGE_PLACES = ("before", "after")
CUTS_IN_CI = 16
SEED = 6


@dataclass(frozen=True)
class Cut:
    """Where the power goes.

    place: "flash", inside the nth operation from now; "before" or "after" the nth edge; or "answered": when the answer
    has arrived at the hub, and the acknowledgement has not.
    """

    place: str
    nth: int = 1

    def arm(self, lab: Lab) -> None:
        if self.place == "answered":
            lab.hub.faults.c2d_puback_loss = 1.0
        elif self.place == "flash":
            lab.board.cut_power_at(self.nth)
        else:
            lab.board.cut_power_at_edge(self.nth, self.place == "before", lab.spec.pins[PIN]["gpio"])


@dataclass(frozen=True)
class Word:
    """A command on PIN, which is low. edges: what it does to the pin, undisturbed. once: it must not be repeated."""

    name: str
    arguments: dict[str, Any]
    edges: list[int]
    once: bool

    def cuts(self):
        """Yield rows of cuts at place 1, 2...; a row ends where a cut does not come any more."""
        for place in ("flash", "before", "after"):
            yield (Cut(place, nth) for nth in itertools.count(1))
        yield (Cut("answered"),)


WORDS = [
    Word("gpio.set", {"pin": PIN, "value": 1}, [1], once=False),
    Word("gpio.toggle", {"pin": PIN}, [1], once=True),
    Word("gpio.pulse", {"pin": PIN, "width_ms": WIDTH_MS}, [1, 0], once=True),
    Word("gpio.pattern", {"pin": PIN, "durations_ms": [WIDTH_MS, 2 * WIDTH_MS, WIDTH_MS]}, [1, 0, 1, 0], once=True),
]


@dataclass
class Trial:
    """What came of one command. edges: by the program, one list for each time the board had power."""

    word: Word
    cut: Cut
    was_cut: bool = False
    noted: int = NEW  # what the journal said when the power was gone
    edges: list[list[int]] = field(default_factory=list)
    level: int = 0
    status: str = ""


class Bench:
    """A running lab, and commands on it one at a time."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.sent = 0
        self.pin = lab.pins[PIN]

    async def attempt(self, word: Word, cut: Cut) -> Trial:
        """Send the command with the cut armed, and give the board the time to answer it."""
        board = self.lab.board
        await self._begin_low()
        trial = Trial(word, cut)
        self.sent += 1
        message_id = f"cut-{self.sent}"
        seen = len(self.pin.edges)
        cut.arm(self.lab)
        await self.lab.send(word.name, word.arguments, message_id)
        if cut.place == "answered":
            await self.lab.watch.result(message_id, ANSWER_S_MAX)
            await board.power_off()
            self.lab.hub.faults.c2d_puback_loss = 0.0
        finished = asyncio.create_task(self._finished(message_id))
        gone = asyncio.create_task(board.wait_off(ANSWER_S_MAX))
        await asyncio.wait((finished, gone), return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not board.powered:
            trial.was_cut = True
            await board.power_off()  # only waits until the process has ended
            trial.noted = self._noted(message_id)
            trial.edges.append(self._edges_by_program(seen))
            seen = len(self.pin.edges)
            await board.power_on()
        assert await finished, f"{word.name} with {cut}: not finished; {self.lab.last_words()}"
        trial.edges.append(self._edges_by_program(seen))
        trial.level = self.pin.level
        trial.status = self.lab.watch.results[message_id]["status"]
        return trial

    async def _begin_low(self) -> None:
        """Let the board begin with the pin at its safe level, connected, and with no cut left armed."""
        board = self.lab.board
        if not board.powered or self.pin.level or self.sent == 0:
            await board.power_off()
            await board.power_on()
        while not self.lab.hub.is_connected(self.lab.device_id):
            await asyncio.sleep(0.01)

    async def quiet(self) -> None:
        """Wait until the flash has nothing left to do: the next operations are the next command's."""
        await self._begin_low()
        while any(tail.waiting for tail in self.lab.tails()):
            await asyncio.sleep(0.02)

    async def restart(self) -> None:
        """Take back a cut that never came."""
        await self.lab.board.power_cycle(off_s=0)

    async def _finished(self, message_id: str) -> bool:
        """Wait until the command is answered and acknowledged; return whether it came to that."""
        lab = self.lab
        if await lab.watch.result(message_id, ANSWER_S_MAX) is None:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S_MAX):
                while lab.hub.pending(lab.device_id):
                    await asyncio.sleep(0.005)
        return not lab.hub.pending(lab.device_id)

    def _edges_by_program(self, since: int) -> list[int]:
        return [edge.level for edge in self.pin.edges[since:] if edge.cause == "agent"]

    def _noted(self, message_id: str) -> int:
        ring = self.lab.spec.ring
        region = divide(self.lab.board.queue_region(), ring["journal_sectors"], ring["urgent_sectors"])[0]
        return Journal(Ring(region)).state(digest(message_id))


def judge(trial: Trial) -> None:
    """Goal: every command is answered, levels converge, what must not be repeated is not."""
    made = [level for boot in trial.edges for level in boot]
    if trial.word.once:
        assert made == trial.word.edges[: len(made)], trial
        if trial.status == "done":
            assert made == trial.word.edges, trial
        else:
            assert trial.status == "interrupted" and trial.was_cut, trial
        # Whatever was noted when the power went, no later boot touches the pin, unless nothing was noted at all.
        assert not trial.was_cut or trial.noted == NEW or trial.edges[-1] == [], trial
        # A start makes the pin safe, which is low; then it has the level that it was given since.
        assert trial.level == (trial.edges[-1][-1] if trial.edges[-1] else 0), trial
    else:
        assert trial.status == "done", trial
        assert trial.word.edges in trial.edges, trial
        assert all(boot in ([], trial.word.edges) for boot in trial.edges), trial
        # After DONE nothing is done again: the pin is where a start leaves it, at its safe level.
        assert trial.level == (0 if trial.was_cut and trial.noted == DONE else 1), trial


@pytest.fixture
async def bench(tmp_path):
    settings = Settings(sample_interval_ms=SAMPLE_INTERVAL_MS, seed=SEED)
    async with running(LabFolder("cuts", tmp_path), settings, print) as lab:
        await lab.await_first_reading()
        yield Bench(lab)


@pytest.mark.slow
@pytest.mark.exhaustive
async def test_every_cut_costs_no_answer_and_repeats_nothing(bench, report):
    """Method: each word, cut in every flash operation from its arrival to its acknowledgement, and at every edge."""
    trials = []
    for word in WORDS:
        for row in word.cuts():
            for cut in row:
                await bench.quiet()
                trial = await bench.attempt(word, cut)
                judge(trial)
                trials.append(trial)
                print(trial)
                if not trial.was_cut:
                    await bench.restart()
                    break
        states = {trial.noted for trial in trials if trial.was_cut and trial.word is word}
        assert states == {NEW, BEGUN, DONE} | ({ACTED} if word.once else set()), (word, states)
        edge_cuts = sum(trial.was_cut and trial.cut.place in EDGE_PLACES and trial.word is word for trial in trials)
        assert edge_cuts == 2 * len(word.edges), "before and after each edge"
    report(_summary(trials))


@pytest.mark.slow
async def test_a_handful_of_cuts_costs_no_answer_and_repeats_nothing(bench, report):
    """Method: both sides of the first edge of each word, and as many other places as time allows, from a seed."""
    chance = random.Random(SEED)
    first = [(word, Cut(place, 1)) for word in WORDS for place in EDGE_PLACES]
    others = [(word, Cut("flash", nth)) for word in WORDS for nth in range(1, 6)]
    others += [(word, Cut("answered")) for word in WORDS]
    others += [
        (word, Cut(place, nth))
        for word in WORDS
        for nth in range(2, len(word.edges) + 1)
        for place in ("before", "after")
    ]
    trials = []
    for word, cut in first + chance.sample(others, min(len(others), CUTS_IN_CI - len(first))):
        trial = await bench.attempt(word, cut)
        judge(trial)
        trials.append(trial)
        print(trial)
        if not trial.was_cut:
            await bench.restart()
    assert sum(trial.was_cut for trial in trials) > len(trials) // 2
    report(_summary(trials))


@pytest.mark.slow
async def test_a_desired_level_comes_back_after_every_cut(bench):
    """Method: the twin wants the pin high; each start is cut at the edge that this makes, and then left alone."""
    lab = bench.lab
    version = (await lab.hub.change_twin(lab.device_id, desired={"pins": {PIN: 1}})).desired.version
    for cut in (None, Cut("before"), Cut("after"), Cut("flash", 3), None):
        await lab.board.power_off()
        assert bench.pin.level == 0
        await lab.board.power_on()
        if cut is not None:
            cut.arm(lab)
            await lab.board.wait_off(ANSWER_S_MAX)
            await lab.board.power_off()
            await lab.board.power_on()
        async with asyncio.timeout(ANSWER_S_MAX):
            while not bench.pin.level:
                await asyncio.sleep(0.01)
    async with asyncio.timeout(ANSWER_S_MAX):
        while "pins" not in (reported := lab.hub.twins.get(lab.device_id).reported.values) or not reported["pins"]:
            await asyncio.sleep(0.01)
    assert reported["pins"][PIN] == {"value": 1, "status": "done", "version": version}


def _summary(trials: list[Trial]) -> str:
    cut = [trial for trial in trials if trial.was_cut]
    at_edges = sum(trial.cut.place in EDGE_PLACES for trial in cut)
    interrupted = sum(trial.status == "interrupted" for trial in trials)
    return (
        f"commands: {len(cut)} power cuts, {at_edges} of them at edges; "
        f"{len(trials)} commands, all answered, {interrupted} as interrupted, 0 effects repeated"
    )
