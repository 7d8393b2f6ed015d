"""Turns of fieldpost and its peers in alternation, over the same relay to the same hub, TLS and tokens for all."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import random
import shutil
import statistics
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import fieldpost
import uvloop

from host_tools.bench import IN_ROM, RecordsDiffer, Report
from host_tools.bench.link import backlog, proxy
from host_tools.bench.pi.measure import sdk_python
from host_tools.errors import UserError
from host_tools.hub import Hub, process, read_messages
from host_tools.hub.process import HubProcess
from host_tools.hub.store import database, events
from host_tools.toolchain import firmware, romfs, umqtt
from host_tools.toolchain.micropython import find_or_install_narrow

ROUND_TRIPS_MS: Final = (0, 50, 200)
WINDOW: Final = 16
HEAP_BYTES: Final = 160 * 1024  # of MicroPython in the turns
_HEAPS_KIB: Final = range(48, 177, 4)  # where the smallest that suffices is sought
_PROGRAMS: Final = Path(__file__).parent / "programs"
_FIRMWARE: Final = Path(fieldpost.__file__).parents[1]
_DEVICE: Final = "device"
_SDK_PORT: Final = 8883  # the SDK cannot be told another
_OVERTIME_S: Final = 120
_LIVE_MS: Final = 100
_VERSION_PROGRAM: Final = "import importlib.metadata as m; print(m.version('azure-iot-device'))"
_UNBATCHED: Final = (1, 1024)
_BATCHED: Final = (200, 4000)  # as the configuration has it by default: records, bytes


@dataclass(frozen=True)
class Effort:
    """readings: in the backlog. turns: of each contestant, of which the median counts. seconds: of one turn at most,
    where a backlog would take minutes. restarts: of the hub, of which the median counts."""

    readings: int = 10_000
    turns: int = 3
    seconds: float = 5.0
    restarts: int = 5
    round_trips_ms: Sequence[int] = ROUND_TRIPS_MS


QUICK: Final = Effort(500, 1, 0.5, 1, (0, 20))


@dataclass
class Rates:
    """Of one contestant at one round trip, per second, one figure for each turn."""

    messages: list[float] = field(default_factory=list)
    readings: list[float] = field(default_factory=list)


@dataclass
class Figures:
    """rates: by round trip in ms, then contestant. heap_peak_bytes: on MicroPython, garbage included, of a heap of
    HEAP_BYTES; heap_grown_bytes: held more at the end of a backlog than at its beginning, at the most.
    smallest_heap_bytes: of those tried, the smallest in which a backlog is drained; in_rom: with the modules in ROM, as
    a Pico W has them in flash; 32_bit: with words of 4 bytes, as boards have, if such an interpreter runs here.
    wire_bytes_per_reading: all TCP payload towards the hub, TLS and handshake included, batched. reconnect_s: from the
    hub's return to the first reading that it stores."""

    rates: dict[int, dict[str, Rates]]
    heap_peak_bytes: int
    heap_grown_bytes: int
    smallest_heap_bytes: int
    smallest_heap_bytes_32_bit: int | None
    smallest_heap_bytes_in_rom: int
    smallest_heap_bytes_in_rom_32_bit: int | None
    wire_bytes_per_reading: float
    readings_per_message: float
    reconnect_s: list[float]
    sdk_version: str

    def median(self, round_trip_ms: int, contestant: str, unit: str) -> float:
        """Return messages or readings per second."""
        values: list[float] = getattr(self.rates[round_trip_ms][contestant], unit)
        return statistics.median(values)

    def ratios(self, round_trip_ms: int) -> dict[str, float]:
        """Return how often fieldpost does what its peers do, at one round trip."""
        unbatched = self.median(round_trip_ms, "unbatched", "messages")
        batched = self.median(round_trip_ms, "batched", "readings")
        on_cpython = self.median(round_trip_ms, "batched_cpython", "readings")
        sdk = max(self.median(round_trip_ms, name, "readings") for name in ("sdk", "sdk_window"))
        return {
            "messages_vs_umqtt": round(unbatched / self.median(round_trip_ms, "umqtt", "messages"), 2),
            "readings_vs_umqtt": round(batched / self.median(round_trip_ms, "umqtt", "readings"), 1),
            "readings_vs_azure_iot_device": round(on_cpython / sdk, 1),
        }


def measure(folder: Path, micropython: Path, effort: Effort, report: Report) -> Figures:
    """Measure in `folder`; it is left as it was. UserError if a peer cannot be had."""
    report("installing azure-iot-device", 0.0)
    python = sdk_python()
    with tempfile.TemporaryDirectory(dir=folder, prefix="bench-link-") as made:
        return uvloop.run(_Bench(Path(made), micropython, python, effort, report).run())


def as_json(figures: Figures) -> dict[str, Any]:
    """Return the figures as plain data."""
    return {
        **{f"rtt_{ms}": {**figures.ratios(ms), "per_s": _medians(figures, ms)} for ms in figures.rates},
        "heap_peak_bytes": figures.heap_peak_bytes,
        "heap_grown_bytes": figures.heap_grown_bytes,
        "smallest_heap_bytes": figures.smallest_heap_bytes,
        "smallest_heap_bytes_32_bit": figures.smallest_heap_bytes_32_bit,
        "smallest_heap_bytes_in_rom": figures.smallest_heap_bytes_in_rom,
        "smallest_heap_bytes_in_rom_32_bit": figures.smallest_heap_bytes_in_rom_32_bit,
        "wire_bytes_per_reading": figures.wire_bytes_per_reading,
        "readings_per_message": figures.readings_per_message,
        "reconnect_s": round(statistics.median(figures.reconnect_s), 2),
        "reconnect_s_max": round(max(figures.reconnect_s), 2),
    }


def _medians(figures: Figures, round_trip_ms: int) -> dict[str, dict[str, float]]:
    return {
        name: {unit: round(statistics.median(values), 1) for unit, values in asdict(rates).items()}
        for name, rates in figures.rates[round_trip_ms].items()
    }


class _Bench:
    """One run. The hub is a process of its own; the relay lives in this one."""

    def __init__(self, folder: Path, micropython: Path, sdk: Path, effort: Effort, report: Report) -> None:
        self._folder = folder
        self._micropython = micropython
        self._sdk = sdk
        self._effort = effort
        self._report = report
        self._address = f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(2, 254)}"
        self._data = folder / "hub"
        self._image = folder / "image"
        self._rom = folder / "rom.img"
        self._readings = folder / "readings"
        self._key = self._ca = ""
        self._heap_peak = self._heap_grown = 0
        self._wire: list[float] = []
        self._per_message: list[float] = []
        self._count = 0

    async def run(self) -> Figures:
        effort = self._effort
        await self._prepare()
        rates: dict[int, dict[str, Rates]] = {}
        contestants = {
            "umqtt": self._umqtt,
            "unbatched": self._unbatched,
            "batched": self._batched,
            "batched_cpython": self._on_cpython,
            "sdk": lambda way: self._sdk_sender(1),
            "sdk_window": lambda way: self._sdk_sender(WINDOW),
        }
        steps = len(effort.round_trips_ms) * effort.turns * len(contestants)
        step = 0
        async with (
            self._hub() as hub,
            proxy.running(self._address, _SDK_PORT, (self._address, hub.port)) as way,
        ):
            for round_trip_ms in effort.round_trips_ms:
                way.round_trip_s = round_trip_ms / 1000
                at = rates[round_trip_ms] = {name: Rates() for name in contestants}
                for _ in range(effort.turns):
                    for name, contestant in contestants.items():
                        self._report(f"{name}, {round_trip_ms} ms", step / steps * 0.9)
                        found = await contestant(way)
                        for unit in ("messages", "readings"):
                            getattr(at[name], unit).append(found[unit] / found["seconds"])
                        step += 1
            way.round_trip_s = 0.0
            self._report("the smallest heap", 0.9)
            smallest = await self._smallest_heap(self._micropython)
            smallest_in_rom = await self._smallest_heap(self._micropython, in_rom=True)
            smallest_narrow = smallest_narrow_in_rom = None
            with contextlib.suppress(UserError):  # some machines run no 32-bit programs
                narrow = find_or_install_narrow(lambda line: None)
                smallest_narrow = await self._smallest_heap(narrow)
                smallest_narrow_in_rom = await self._smallest_heap(narrow, in_rom=True)
        reconnect_s = []
        for turn in range(effort.restarts):
            self._report("restarts of the hub", 0.9 + turn / effort.restarts * 0.1)
            reconnect_s.append(await self._reconnect())
        self._report("done", 1.0)
        version = await _output([str(self._sdk), "-c", _VERSION_PROGRAM], {}, 60)
        return Figures(
            rates,
            self._heap_peak,
            self._heap_grown,
            smallest,
            smallest_narrow,
            smallest_in_rom,
            smallest_narrow_in_rom,
            round(statistics.median(self._wire), 1),
            round(statistics.median(self._per_message), 1),
            reconnect_s,
            version.strip(),
        )

    async def _prepare(self) -> None:
        hub = Hub(self._data, hostname=self._address)
        await hub.start()
        try:
            self._key = hub.devices.create(_DEVICE).primary_key
            self._ca = base64.b64encode(hub.ca_der).decode()
            self._ca_file = hub.ca_file
        finally:
            await hub.stop()
        self._report("making the backlog", 0.0)
        self._image.write_bytes(backlog.ring_image(self._effort.readings))
        backlog.write_lines(self._readings, self._effort.readings)
        self._tree = firmware.build(self._folder / "tree", lambda line: self._report(line, 0.0), bundled=False)
        self._programs = self._folder / "programs"
        for name in ("drain", "one_by_one", "ussl"):
            text = (_PROGRAMS / f"{name}.py").read_text(encoding="utf-8")
            firmware.compile_module(text, self._programs / f"{name}.mpy", Path(f"{name}.mpy"), self._folder / "sources")
        rom = self._folder / "rom"
        shutil.copytree(self._tree, rom)
        shutil.copytree(self._programs, rom / "programs")
        self._rom.write_bytes(romfs.image(rom))
        connection = f"HostName={self._address};DeviceId={_DEVICE};SharedAccessKey={self._key}"
        _write_private(self._folder / "connection", connection)

    async def _umqtt(self, way: proxy.DelayingProxy) -> dict[str, Any]:
        asked = {"readings": str(self._readings), "seconds": self._effort.seconds}
        return await self._on_micropython("one_by_one", asked)

    async def _unbatched(self, way: proxy.DelayingProxy) -> dict[str, Any]:
        return await self._on_micropython("drain", self._drain(_UNBATCHED, self._effort.seconds))

    async def _batched(self, way: proxy.DelayingProxy) -> dict[str, Any]:
        before = way.sent_bytes
        found = await self._on_micropython("drain", self._drain(_BATCHED, 0))
        self._whole(found)
        self._heap_peak = max(self._heap_peak, found["heap_peak_bytes"])
        self._heap_grown = max(self._heap_grown, found["heap_grown_bytes"])
        self._wire.append((way.sent_bytes - before) / found["readings"])
        self._per_message.append(found["readings"] / found["messages"])
        return found

    async def _on_cpython(self, way: proxy.DelayingProxy) -> dict[str, Any]:
        paths = [str(_FIRMWARE), str(umqtt.find_or_download()), sysconfig.get_path("purelib")]
        arguments = self._arguments(self._drain(_BATCHED, 0))
        command = [sys.executable, "-P", str(_PROGRAMS / "drain.py"), str(arguments)]
        found = await _result(command, {"PYTHONPATH": ":".join(paths)}, _OVERTIME_S)
        self._whole(found)
        return found

    async def _sdk_sender(self, window: int) -> dict[str, Any]:
        program = [str(_PROGRAMS / "sdk_sender.py"), str(self._folder / "connection"), str(self._readings)]
        command = [str(self._sdk), "-I", *program, str(window), str(self._effort.seconds)]
        return await _result(command, {"SSL_CERT_FILE": str(self._ca_file)}, self._effort.seconds + _OVERTIME_S)

    def _whole(self, found: dict[str, Any]) -> None:
        if found["readings"] < self._effort.readings or found["duplicates"]:
            raise RecordsDiffer(f"the backlog was not drained in one go: {found}")

    def _drain(self, batch: tuple[int, int], seconds: float, live_ms: int = 0) -> dict[str, Any]:
        """Return what drain.py is asked, with a ring of its own: what was drained is gone."""
        self._count += 1
        ring = self._folder / f"ring{self._count % 2}"
        shutil.copyfile(self._image, ring)
        records_max, bytes_max = batch
        return {
            "ring": str(ring),
            "records_max": records_max,
            "bytes_max": bytes_max,
            "window": WINDOW,
            "seconds": seconds,
            "live_ms": live_ms,
            "order": "oldest",
            "endless": live_ms > 0,
        }

    def _arguments(self, asked: dict[str, Any], port: int = _SDK_PORT) -> Path:
        path = self._folder / "arguments"
        whole = {"host": self._address, "port": port, "device": _DEVICE, "key": self._key, "ca": self._ca, **asked}
        _write_private(path, json.dumps(whole))
        return path

    async def _on_micropython(self, program: str, asked: dict[str, Any]) -> dict[str, Any]:
        command, environment = self._micropython_command(program, self._arguments(asked))
        return await _result(command, environment, self._effort.seconds + _OVERTIME_S)

    def _micropython_command(
        self,
        program: str,
        arguments: Path,
        heap_bytes: int = HEAP_BYTES,
        micropython: Path | None = None,
        in_rom: bool = False,
    ) -> tuple[list[str], dict[str, str]]:
        start = [str(micropython or self._micropython), "-X", f"heapsize={heap_bytes}"]
        if in_rom:
            return [*start, str(IN_ROM), str(self._rom), program, str(arguments)], {}
        paths = f"{self._tree}:{self._tree / 'lib'}:{self._programs}:.frozen"
        return [*start, "-m", program, str(arguments)], {"MICROPYPATH": paths}

    async def _smallest_heap(self, micropython: Path, in_rom: bool = False) -> int:
        """Return the bytes of the smallest heap in which a backlog is drained, imports, TLS and batches included."""
        fits, fails = len(_HEAPS_KIB) - 1, -1
        while fits - fails > 1:
            middle = (fits + fails) // 2
            arguments = self._arguments(self._drain(_BATCHED, self._effort.seconds))
            heap_bytes = _HEAPS_KIB[middle] * 1024
            command, environment = self._micropython_command("drain", arguments, heap_bytes, micropython, in_rom)
            try:
                await _result(command, environment, self._effort.seconds + _OVERTIME_S)
                fits = middle
            except RecordsDiffer:
                fails = middle
        return _HEAPS_KIB[fits] * 1024

    async def _reconnect(self) -> float:
        """Restart the hub under a device that publishes; return what passes between its return and a reading."""
        device = None
        try:
            async with self._hub() as hub:
                port = hub.port
                asked = self._drain(_BATCHED, 0, _LIVE_MS)
                command, environment = self._micropython_command("drain", self._arguments(asked, port))
                device = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment})
                before = self._last_sequence()
                while self._last_sequence() == before:
                    await _tick(device)
            last = self._last_sequence()
            async with self._hub(port):
                returned_s = time.time()
                while self._last_sequence() == last:
                    await _tick(device)
                first = next(iter(read_messages(self._data, after=last)))
                return max(0.0, first.enqueued_unix_ms / 1000 - returned_s)
        finally:
            if device is not None and device.returncode is None:
                device.kill()
                await device.wait()

    def _hub(self, port: int = 0) -> contextlib.AbstractAsyncContextManager[HubProcess]:
        return process.running(self._data, host=self._address, port=port, hostname=self._address)

    def _last_sequence(self) -> int:
        with contextlib.closing(database.open_for_reading(self._data)) as connection:
            return events.last_sequence(connection)


async def _tick(device: asyncio.subprocess.Process) -> None:
    if device.returncode is not None:
        raise RecordsDiffer("the device ended before the hub had heard of it")
    await asyncio.sleep(0.01)


async def _result(command: list[str], environment: dict[str, str], timeout_s: float) -> dict[str, Any]:
    """Return the JSON object that a program prints last."""
    lines = (await _output(command, environment, timeout_s)).splitlines()
    return json.loads(lines[-1])  # type: ignore[no-any-return]


async def _output(command: list[str], environment: dict[str, str], timeout_s: float) -> str:
    program = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(program.communicate(), timeout_s)
    except TimeoutError:
        raise RecordsDiffer(f"{Path(command[-2]).name} was not done within {timeout_s:g} s") from None
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    if program.returncode or not output.strip():
        said = (errors or output).decode(errors="replace").strip().splitlines()
        raise RecordsDiffer(f"{' '.join(command[-2:])} ended early: {said[-1] if said else 'without a word'}")
    return output.decode()


def _write_private(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
