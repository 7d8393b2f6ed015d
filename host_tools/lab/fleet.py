"""Many emulated boards at one hub: how a hub bears them, and whether every reading of every board arrives.

    one board is flashed as always -> its image is stamped with the others' names and keys -> all start
    -> the time passes -> the sensors come off, everything drains -> power off -> each board is audited

Each board is a MicroPython process with the agent and flash of its own, over TLS; the hub is a process too. Stamping is
how boards are made in numbers: names and keys have one length, and littlefs keeps no checksum over a file's data.
A machine that is too busy makes boards late, which is told; it does not restart them (emulator/starvation.py).
"""

import asyncio
import base64
import dataclasses
import json
import os
import resource
import ssl
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host_tools.audit import Finding, judge, read_tail
from host_tools.boards import Board
from host_tools.emulator.board import EmulatedBoard
from host_tools.emulator.flash_file import IMAGE, describe_image
from host_tools.emulator.shape import BoardShape
from host_tools.errors import UserError
from host_tools.flash import install
from host_tools.hub import Hub, process, read_messages
from host_tools.hub.client import HubClient
from host_tools.hub.store.events import StoredMessage
from host_tools.lab.hardware import board_in_shape, board_shape, ring_regions, unplug
from host_tools.toolchain import firmware, micropython

BOARDS_MAX = 9999
_BOARD = "emulator"
_SSID = "bench"
_TEMPLATE = 0
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
# Room for the agent's files. A fleet's flash is written whole before it begins.
_STORAGE_BYTES = 0x8_0000
# Readings that came so much later than they should have, in percent of all, are the machine's fault.
_LATE_PERCENT = 2
# Pipes, sockets and images of one board in this process.
_FILES_PER_BOARD = 16

Report = Callable[[str], object]


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


async def run(folder: Path, count: int, interval_ms: int, seconds: float, report: Report) -> Outcome:
    """Run so many boards in a folder that is theirs alone. UserError if they cannot be made or do not come up."""
    if not 1 <= count <= BOARDS_MAX:
        raise UserError(f"{count} boards: 1 to {BOARDS_MAX} are possible")
    _allow_files((count + 1) * _FILES_PER_BOARD + 256)
    spec = board_in_shape(_BOARD, None)
    program = await asyncio.to_thread(micropython.find_or_install, report)
    keys = await _make_devices(folder / "hub", count + 1)
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(process.running(folder / "hub"))
        report("flashing one board with mpremote")
        rhythm = {
            "sample_interval_ms": interval_ms,
            "batch": {"age_ms": min(_BATCH_AGE_MS, int(seconds * 1000 / _BATCHES_MIN))},
        }
        await _flash_template(folder, spec, program, hub.port, keys[_TEMPLATE], rhythm, report)
        report(f"stamping {count} images")
        shape = _shape(spec)
        await asyncio.to_thread(_stamp, folder, shape, keys)
        boards = [
            EmulatedBoard(
                _home(folder, number),
                _name(number),
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


async def _make_devices(data: Path, count: int) -> list[str]:
    """Make devices in the hub's folder and return their keys."""
    hub = Hub(data)
    await hub.start()
    try:
        return [hub.devices.create(_name(number)).primary_key for number in range(count)]
    finally:
        await hub.stop()


async def _flash_template(
    folder: Path, spec: Board, program: Path, port: int, key: str, rhythm: dict[str, Any], report: Report
) -> None:
    home = _home(folder, _TEMPLATE)
    name = _name(_TEMPLATE)
    config = spec.device_config(
        device=name,
        hub_host="localhost",
        hub_port=port,
        status_interval_ms=0,  # nobody looks at their screens
        idle_wait_ms=1000,  # nor types Ctrl-C: turning ten times a second is most of what an idle board costs
        wifi=[{"ssid": _SSID}],
        **rhythm,
    )
    ca_der = base64.b64encode(_ca_der(folder / "hub" / "ca.pem")).decode()
    identity: dict[str, Any] = {
        "device_id": name,
        "key": key,
        "ca_der": ca_der,
        "wifi_passwords": {_SSID: "any"},
    }
    board = EmulatedBoard(home, name, _shape(spec), program, ("127.0.0.1", port))
    try:
        await board.power_on()
        tree = await asyncio.to_thread(firmware.build, folder / "firmware", report)
        await asyncio.to_thread(install, str(board.serial_port), tree, config, identity, report)
    finally:
        await board.close()


def _shape(spec: Board) -> BoardShape:
    """Return the board's shape with a file system no larger than it needs, which lies last."""
    shape = board_shape(spec)
    storage = shape.partition("vfs")
    small = dataclasses.replace(storage, size=min(storage.size, _STORAGE_BYTES))
    rows = tuple(small if row is storage else row for row in shape.partitions)
    return dataclasses.replace(shape, partitions=rows, flash_bytes=small.offset + small.size)


def _stamp(folder: Path, shape: BoardShape, keys: list[str]) -> None:
    """Write the images of all boards but the first from that of the first."""
    image = bytearray((_home(folder, _TEMPLATE) / IMAGE).read_bytes())
    queue = shape.partition("queue")
    # The first one may have begun its ring before its power went.
    image[queue.offset : queue.offset + queue.size] = b"\xff" * queue.size
    name, key = _name(_TEMPLATE).encode(), json.dumps(keys[_TEMPLATE]).encode()
    places = {part: _places(image, part) for part in (name, key)}
    if not all(places.values()):
        raise UserError("name and key cannot be found in the flash of the first board: the file system has changed")
    for number in range(1, len(keys)):
        home = _home(folder, number)
        home.mkdir(parents=True, exist_ok=True)
        for part, written in ((name, _name(number).encode()), (key, json.dumps(keys[number]).encode())):
            assert len(part) == len(written)
            for place in places[part]:
                image[place : place + len(part)] = written
        path = home / IMAGE
        path.touch(mode=0o600)
        with path.open("r+b") as file:
            file.truncate(shape.flash_bytes)
            for row in shape.partitions:
                if row.label != "factory":  # the firmware's share is empty, and stays a hole
                    file.seek(row.offset)
                    file.write(memoryview(image)[row.offset : row.offset + row.size])
        describe_image(home, shape)


def _places(image: bytearray, part: bytes) -> list[int]:
    found, at = [], image.find(part)
    while at >= 0:
        found.append(at)
        at = image.find(part, at + 1)
    return found


def _ca_der(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text(encoding="ascii"))


def _name(number: int) -> str:
    return f"board-{number:04}"


def _home(folder: Path, number: int) -> Path:
    return folder / "boards" / _name(number)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard < count:
            raise UserError(f"so many boards need {count} open files, this account may have {hard}: see `ulimit -n`")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
