"""Many emulated boards at one hub: how a hub bears them, and whether every reading of every board arrives.

    one board is flashed as always -> its image is stamped with the others' names and keys -> all start
    -> the time passes -> the sensors come off, everything drains -> power off -> each board is audited

Each board is a MicroPython process with the agent and flash of its own, over TLS; the hub is a process too. A
machine that is too busy makes boards late, which is told; it does not restart them (emulator/starvation.py).
"""

import asyncio
import os
import resource
import time
from contextlib import AsyncExitStack
from pathlib import Path

from host_tools.audit import Finding, judge, read_tail
from host_tools.boards import Board
from host_tools.emulator.board import EmulatedBoard
from host_tools.errors import UserError
from host_tools.hub import process, read_messages
from host_tools.hub.client import HubClient
from host_tools.hub.store.events import StoredMessage
from host_tools.lab.fleet_boards import (
    TEMPLATE,
    Report,
    flash_template,
    home_of,
    make_devices,
    name_of,
    shape_of,
    stamp,
)
from host_tools.lab.fleet_outcome import Outcome
from host_tools.lab.hardware import board_in_shape, ring_regions, unplug
from host_tools.toolchain import micropython

BOARDS_MAX = 9999
_BOARD = "emulator"
# Boards that may be on their way to the hub at one time. The next is switched on when one of them has arrived: so a
# slow machine starts a fleet slowly, and not all of it at once until nothing gets anywhere.
_STARTING = 40
_AT_ONCE = 20  # that are switched off together
# Without a board that arrives, the others are not waited for.
_START_S = 120.0
_DRAIN_S_MAX = 300.0
_POLL_S = 0.25
# Readings wait so long for company, as on a device that saves its battery: a TLS record costs as much as a few of them.
# A short run must not end before the first message.
_BATCH_AGE_MS = 10_000
_BATCHES_MIN = 6
# Pipes, sockets and images of one board in this process.
_FILES_PER_BOARD = 16


async def run(folder: Path, count: int, interval_ms: int, seconds: float, report: Report) -> Outcome:
    """Run so many boards in a folder that is theirs alone. UserError if they cannot be made or do not come up."""
    if not 1 <= count <= BOARDS_MAX:
        raise UserError(f"{count} boards: 1 to {BOARDS_MAX} are possible")
    _allow_files((count + 1) * _FILES_PER_BOARD + 256)
    spec = board_in_shape(_BOARD, None)
    program = await asyncio.to_thread(micropython.find_or_install, report)
    keys = await make_devices(folder / "hub", count + 1)
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(process.running(folder / "hub"))
        report("flashing one board with mpremote")
        rhythm = {
            "sample_interval_ms": interval_ms,
            "batch": {"age_ms": min(_BATCH_AGE_MS, int(seconds * 1000 / _BATCHES_MIN))},
        }
        await flash_template(folder, spec, program, hub.port, keys[TEMPLATE], rhythm, report)
        report(f"stamping {count} images")
        shape = shape_of(spec)
        await asyncio.to_thread(stamp, folder, shape, keys)
        boards = [
            EmulatedBoard(
                home_of(folder, number),
                name_of(number),
                shape,
                program,
                ("127.0.0.1", hub.port),
                seed=number,
                is_one_of_many=True,
            )
            for number in range(1, count + 1)
        ]
        for board in boards:
            stack.push_async_callback(board.close)
        return await _Fleet(folder, spec, boards, hub, interval_ms, report).run(seconds)


class _Fleet:
    def __init__(
        self,
        folder: Path,
        spec: Board,
        boards: list[EmulatedBoard],
        hub: process.HubProcess,
        interval_ms: int,
        report: Report,
    ) -> None:
        self._folder = folder
        self._spec = spec
        self._boards = boards
        self._hub = hub
        self._client = HubClient(folder / "hub")
        self._interval_ms = interval_ms
        self._report = report

    async def run(self, seconds: float) -> Outcome:
        began = time.monotonic()
        connected = await self._start()
        started_in_s = time.monotonic() - began
        if not connected:
            last = " | ".join(list(self._boards[0].console)[-3:])
            raise UserError(f"no board came up; the first one's last words: {last or 'none'}")
        self._report(f"{connected} of {len(self._boards)} connected after {started_in_s:.0f} s; {seconds:.0f} s begin")
        before = self._spent()
        began = time.monotonic()
        await asyncio.sleep(seconds)
        took_s = time.monotonic() - began
        reconnects = self._connections() - len(self._boards)
        spent = [after - earlier for after, earlier in zip(self._spent(), before, strict=True)]
        each_ms = [cpu_s * 1000 / took_s / len(self._boards) for cpu_s in spent[1:]]
        load = os.getloadavg()[1]
        address = self._spec.sensors[0]["address"]
        for board in self._boards:
            unplug(board.i2c, address, board.bme280)
        self._report("sensors off; what waits is delivered")
        has_drained = await self._drained()
        rss_mb = self._hub.rss_mb
        for start in range(0, len(self._boards), _AT_ONCE):
            await asyncio.gather(*(board.power_off() for board in self._boards[start : start + _AT_ONCE]))
        self._report("weighing what arrived")
        findings = await asyncio.to_thread(self._judge)

        def total(count: str) -> int:
            return sum(finding.total(count) for finding in findings)

        return Outcome(
            boards=len(self._boards),
            interval_ms=self._interval_ms,
            seconds=seconds,
            started_in_s=started_in_s,
            conversions=self._conversions(),
            due=int(len(self._boards) * took_s * 1000 / self._interval_ms),
            taken=int(spent[0]),
            messages=sum(finding.messages for finding in findings),
            records=total("delivered_unique"),
            duplicates=total("duplicates"),
            lost_reported=total("lost_reported"),
            waiting=total("waiting"),
            missing=total("missing"),
            gaps=total("gaps"),
            unreadable=sum(finding.unreadable for finding in findings),
            reconnects=reconnects,
            resets=sum(len(board.reset_causes) - 1 for board in self._boards),
            has_drained=has_drained,
            silent=tuple(finding.device for finding in findings if not finding.messages),
            hub_rss_mb=rss_mb,
            board_cpu_ms_per_s=each_ms[0],
            board_starved_ms_per_s=each_ms[1],
            hub_cpu_ms_per_s=each_ms[2],
            supervisor_cpu_ms_per_s=each_ms[3],
            processors=len(os.sched_getaffinity(0)),
            load=load,
        )

    def _connections(self) -> int:
        return sum(board.link.connections for board in self._boards)

    def _conversions(self) -> int:
        return sum(board.bme280.conversions for board in self._boards)

    def _spent(self) -> list[float]:
        """Return readings begun, and seconds of processor: the boards', those they waited for, the hub's, our own."""
        return [
            self._conversions(),
            sum(board.cpu_seconds for board in self._boards),
            sum(board.starved_seconds for board in self._boards),
            _cpu_s(self._hub.pid),
            _cpu_s(os.getpid()),
        ]

    async def _start(self) -> int:
        """Switch all boards on, as fast as they come to the hub; return how many are there in the end."""
        count = len(self._boards)
        told = started = arrived = 0
        deadline = time.monotonic() + _START_S
        while arrived < count and time.monotonic() < deadline:
            about = await asyncio.to_thread(self._client.ask, "GET", "hub")
            if about["connected"] > arrived:
                arrived = about["connected"]
                deadline = time.monotonic() + _START_S
            if arrived >= told + max(1, count // 10):
                told = arrived
                self._report(f"{arrived} of {count} boards are connected")
            some = self._boards[started : arrived + _STARTING]
            started += len(some)
            for board in some:
                await board.power_on()
            await asyncio.sleep(_POLL_S)
        return arrived

    async def _drained(self) -> bool:
        """Wait until each board had nothing left to send at one moment; whether they all came to that."""
        deadline = time.monotonic() + _DRAIN_S_MAX
        left = self._boards
        while left and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_S)
            waiting = []
            for board in left:
                if not self._is_drained(board):
                    waiting.append(board)
                await asyncio.sleep(0)  # reading a thousand flashes takes seconds, and the boards talk through us
            left = waiting
        return not left

    def _is_drained(self, board: EmulatedBoard) -> bool:
        tails = [read_tail(region) for region in ring_regions(board, self._spec)]
        return all(tail is None or not tail.waiting for tail in tails)

    def _judge(self) -> list[Finding]:
        """One pass over the store for all of them."""
        by_device: dict[str, list[StoredMessage]] = {board.name: [] for board in self._boards}
        tails = {
            board.name: [tail for region in ring_regions(board, self._spec) if (tail := read_tail(region)) is not None]
            for board in self._boards
        }
        for message in read_messages(self._folder / "hub"):
            if message.device_id in by_device:
                by_device[message.device_id].append(message)
        return [judge(name, messages, tails[name]) for name, messages in by_device.items()]


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard < count:
            raise UserError(f"so many boards need {count} open files, this account may have {hard}: see `ulimit -n`")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
