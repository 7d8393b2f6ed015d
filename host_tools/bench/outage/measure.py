"""What is measured, and how: all boards at once, each its own, with the same plug, link and broker.

    install, power off            nothing is counted yet
    power on, wait for all        until each has had a reading arrive
    the schedule                  outages, power cuts and restarts hit all at the same moments
    unplug the sensors, wait      until nothing more arrives

What was taken is what the emulated sensor was asked for; what arrived is what a subscriber heard. Neither is a
contestant's own word.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from host_tools.audit import RingTail, read_tail
from host_tools.bench import RecordsDiffer, Report
from host_tools.bench.mosquitto import Mosquitto
from host_tools.bench.outage.contestants import INTERVAL_MS, Contestant, contestants
from host_tools.bench.outage.judge import Judge, Name
from host_tools.bench.outage.schedule import Schedule
from host_tools.boards import Board
from host_tools.emulator import EmulatedBoard
from host_tools.lab.hardware import board_in_shape, board_shape, ring_regions, unplug

_BOARD: Final = "emulator"
_FIRST_S_MAX: Final = 90.0
_POLL_S: Final = 0.02
# The judge's session outlives the broker, and so does what is queued for it.
_BROKER: Final = ("max_queued_messages 0", "max_inflight_messages 0")


@dataclass(frozen=True)
class Result:
    """Of one contestant. Times in seconds from the start of the schedule, of its readings.

    due: readings that its interval asks for while it had power. taken, arrived: how many were, each once. repeats: how
    many came again. pause_s: the longest time with power in which it took none. flash_bytes, erases: of its flash.
    """

    title: str
    due: int
    taken: int
    arrived: int
    repeats: int
    pause_s: float
    flash_bytes: int
    erases: int
    taken_s: tuple[float, ...] = ()
    arrived_s: tuple[float, ...] = ()

    @property
    def lost(self) -> int:
        """Readings that were taken and never arrived."""
        return self.taken - self.arrived


@dataclass(frozen=True)
class Figures:
    """Of one run: results by name, fieldpost's first."""

    schedule: Schedule
    broker_version: str
    results: dict[str, Result]


def measure(folder: Path, interpreter: Path, schedule: Schedule, mqtt_as: Path | None, report: Report) -> Figures:
    """Measure in a folder; it is left as it was. UserError if Mosquitto or umqtt cannot be had.

    mqtt_as: see `contestants`. RecordsDiffer if a contestant does not even deliver without faults.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix="bench-outage-") as made:
        return asyncio.run(_measure(Path(made), interpreter, schedule, contestants(mqtt_as), report))


async def _measure(
    folder: Path, interpreter: Path, schedule: Schedule, who: Sequence[Contestant], report: Report
) -> Figures:
    broker = Mosquitto(folder, ["persistence true", f"persistence_location {folder}/", *_BROKER])
    spec = board_in_shape(_BOARD, None)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(broker.running())
        judge = Judge(broker.port)
        stack.callback(judge.stop)
        await asyncio.to_thread(judge.start)
        benches = []
        for index, contestant in enumerate(who):
            report(f"installing {contestant.title}", 0.15 * index / len(who))
            board = EmulatedBoard(
                folder / contestant.name,
                contestant.name,
                board_shape(spec),
                interpreter,
                ("127.0.0.1", broker.port),
                seed=index,
            )
            stack.push_async_callback(board.close)
            await board.power_on()
            await asyncio.to_thread(contestant.put_on, str(board.serial_port), spec, broker.port, folder)
            await board.power_off()
            benches.append(_Bench(contestant, board, spec, judge))
        return Figures(schedule, broker.version, await _Run(benches, broker, schedule, report).run())


@dataclass
class _Bench:
    """One contestant's board, and what is noted of it. counts: (moment, readings taken until then) at each change."""

    contestant: Contestant
    board: EmulatedBoard
    spec: Board
    judge: Judge
    starts_s: list[float] = field(default_factory=list)
    stops_s: list[float] = field(default_factory=list)
    counts: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        # The agent starts once when it has been installed: what it recorded then is not counted.
        tail = self._tail()
        self._first_number = 1 if tail is None else tail.next_number
        self._conversions = self.board.bme280.conversions
        self._bytes, self._erases = self.board.flash.bytes_programmed, self.board.flash.erases

    def _tail(self) -> RingTail | None:
        return read_tail(ring_regions(self.board, self.spec)[-1])

    @property
    def is_drained(self) -> bool:
        """Whether nothing waits in a ring; who has none may have something all the same."""
        tail = self._tail()
        return tail is None or not tail.waiting

    @property
    def taken(self) -> int:
        return self.board.bme280.conversions - self._conversions

    def heard(self) -> Counter[Name]:
        heard = self.judge.heard(self.contestant.name)
        return Counter({name: count for name, count in heard.items() if name.number >= self._first_number})

    async def power_on(self) -> None:
        await self.board.power_on()
        self.starts_s.append(time.monotonic())

    async def power_off(self) -> None:
        await self.board.power_off()
        self.stops_s.append(time.monotonic())

    def note(self) -> None:
        """Note whether a reading has been taken."""
        taken = self.taken
        if not self.counts or self.counts[-1][1] != taken:
            self.counts.append((time.monotonic(), taken))

    def result(self, began_s: float, ended_s: float) -> Result:
        heard = self.heard()
        moments = [moment for moment, taken in self.counts if taken]
        begins_s = moments[0] if moments else ended_s
        on_s = _seconds_on(self.starts_s, self.stops_s, begins_s, ended_s)
        return Result(
            self.contestant.title,
            due=round(on_s * 1000 / INTERVAL_MS),
            taken=self.taken,
            arrived=len(heard),
            repeats=heard.total() - len(heard),
            pause_s=_longest_pause(moments, self.starts_s, self.stops_s, ended_s),
            flash_bytes=self.board.flash.bytes_programmed - self._bytes,
            erases=self.board.flash.erases - self._erases,
            taken_s=tuple(moment - began_s for moment in moments),
            arrived_s=tuple(moment - began_s for moment in when_taken(heard, moments, self.starts_s)),
        )


class _Run:
    """One run; its methods stand in the order in which they happen."""

    def __init__(self, benches: Sequence[_Bench], broker: Mosquitto, schedule: Schedule, report: Report) -> None:
        self._benches = benches
        self._broker = broker
        self._schedule = schedule
        self._report = report
        self._is_over = False

    async def run(self) -> dict[str, Result]:
        watch = asyncio.create_task(self._watch())
        try:
            self._report("starting", 0.16)
            await self._all("power_on")
            await self._await_first()
            began_s = time.monotonic()
            await self._follow(began_s)
            ended_s = time.monotonic()
            address = self._benches[0].spec.sensors[0]["address"]
            for bench in self._benches:
                unplug(bench.board.i2c, address, bench.board.bme280)
            await self._drain()
        finally:
            self._is_over = True
            await watch
        await self._all("power_off")
        return {bench.contestant.name: bench.result(began_s, ended_s) for bench in self._benches}

    async def _watch(self) -> None:
        while not self._is_over:
            for bench in self._benches:
                bench.note()
            await asyncio.sleep(_POLL_S)

    async def _await_first(self) -> None:
        deadline_s = time.monotonic() + _FIRST_S_MAX
        while waiting := [bench for bench in self._benches if not bench.heard()]:
            if time.monotonic() > deadline_s:
                last = " | ".join(list(waiting[0].board.console)[-5:])
                raise RecordsDiffer(f"nothing arrived from {waiting[0].contestant.title}; it printed last: {last}")
            await asyncio.sleep(0.1)

    async def _follow(self, began_s: float) -> None:
        for step in self._schedule.steps():
            await self._sleep_until(began_s, step.at_s)
            await self._do(step.action)
        await self._sleep_until(began_s, self._schedule.length_s)

    async def _sleep_until(self, began_s: float, at_s: float) -> None:
        while (left_s := began_s + at_s - time.monotonic()) > 0:
            length_s = self._schedule.length_s
            gone_s = at_s - left_s
            self._report(f"{gone_s:.0f} of {length_s:.0f} s", 0.2 + 0.6 * gone_s / length_s)
            await asyncio.sleep(min(left_s, 0.5))

    async def _do(self, action: str) -> None:
        if action == "broker_stop":
            await self._broker.stop()
        elif action == "broker_start":
            await self._broker.start()
        elif action in ("power_on", "power_off"):
            await self._all(action)
        else:
            for bench in self._benches:
                link = bench.board.link
                (link.up if action == "link_up" else link.down)()

    async def _drain(self) -> None:
        began_s = changed_s = time.monotonic()
        before = 0
        while (now_s := time.monotonic()) < began_s + self._schedule.drain_s_max:
            heard = sum(bench.heard().total() for bench in self._benches)
            if heard != before:
                before, changed_s = heard, now_s
            if now_s > changed_s + self._schedule.quiet_s and all(bench.is_drained for bench in self._benches):
                return
            self._report("draining", 0.8 + 0.2 * (now_s - began_s) / self._schedule.drain_s_max)
            await asyncio.sleep(0.2)

    async def _all(self, action: str) -> None:
        await asyncio.gather(*(getattr(bench, action)() for bench in self._benches))


def when_taken(names: Iterable[Name], moments: Sequence[float], starts_s: Sequence[float]) -> list[float]:
    """Return for each reading which of the moments it was taken at, in order.

    moments: at which readings were taken, ascending. starts_s: when the board got power, the first start named first.
    A board's uptime begins some time after that, so it counts from the first reading of the same start.
    """
    found = []
    by_start: dict[int, list[int]] = {}
    for name in names:
        by_start.setdefault(name.start, []).append(name.up_ms)
    first_start = min(by_start, default=0)
    ends_s = [*starts_s[1:], math.inf]
    for start, ups_ms in by_start.items():
        begin_s, end_s = starts_s[start - first_start], ends_s[start - first_start]
        inside = [moment for moment in moments if begin_s <= moment < end_s]
        for up_ms in ups_ms:
            guess = inside[0] + (up_ms - min(ups_ms)) / 1000
            found.append(min(inside, key=lambda moment: abs(moment - guess)))
    return sorted(found)


def _seconds_on(starts_s: Sequence[float], stops_s: Sequence[float], from_s: float, to_s: float) -> float:
    """Return for how long of a stretch the board had power."""
    ends = [*stops_s, to_s]
    return sum(max(0.0, min(end, to_s) - max(start, from_s)) for start, end in zip(starts_s, ends, strict=False))


def _longest_pause(moments: Sequence[float], starts_s: Sequence[float], stops_s: Sequence[float], to_s: float) -> float:
    """Return the longest stretch with power and without a reading, from the first one on; a start counts."""
    longest_s = 0.0
    for begin, end in zip(starts_s, [*stops_s, to_s], strict=False):
        end = min(end, to_s)
        inside = [moment for moment in moments if begin <= moment <= end]
        marks = [*([] if begin == starts_s[0] else [begin]), *inside, end]
        longest_s = max([longest_s, *(later - earlier for earlier, later in itertools.pairwise(marks))])
    return longest_s


def as_json(figures: Figures) -> dict[str, Any]:
    """Return what `--json` prints."""
    names = ("due", "taken", "arrived", "lost", "repeats", "flash_bytes", "erases")
    return {
        name: {**{key: getattr(result, key) for key in names}, "longest_pause_s": round(result.pause_s, 2)}
        for name, result in figures.results.items()
    } | {"seconds": figures.schedule.length_s, "broker": figures.broker_version}
