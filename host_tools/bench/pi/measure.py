"""Memory, processor time and start-up of both, one after the other: the same sensor, the same hub, TLS and tokens."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import fieldpost

from host_tools.bench import RecordsDiffer, Report
from host_tools.bench.pi import on_pi, rival
from host_tools.emulator.bme280 import Bme280
from host_tools.emulator.pi import kernel
from host_tools.emulator.pi.hardware import PiHardware
from host_tools.errors import UserError
from host_tools.hub import Hub
from host_tools.toolchain import cache, umqtt

_HERE: Final = Path(__file__).parent
_KERNEL: Final = Path(kernel.__file__)
_DEVICE: Final = "pi"
_MQTT_PORT: Final = 8883  # the SDK cannot be told another
_START_S: Final = 60
_SETTLE_S: Final = 3
INTERVAL_S: Final = 1.0


@dataclass(frozen=True)
class Effort:
    """seconds: of the measured stretch. starts: of which the median counts."""

    seconds: float = 60
    starts: int = 5


QUICK: Final = Effort(8, 1)


@dataclass(frozen=True)
class Footprint:
    """pss_mib: proportional set size at the end. cpu_percent: of one processor. start_s: to the first reading stored.

    delivered: readings that the hub stored in the measured stretch.
    """

    pss_mib: float
    cpu_percent: float
    start_s: float
    delivered: int


@dataclass(frozen=True)
class Figures:
    """Of one run. versions: of what was measured against."""

    seconds: float
    fieldpost: Footprint
    rival: Footprint
    versions: dict[str, str]


def measure(folder: Path, effort: Effort, report: Report) -> Figures:
    """Measure in `folder`; it is left as it was. UserError if the SDK cannot be installed."""
    if importlib.util.find_spec("persistqueue") is None:
        raise UserError("this compares with persist-queue, which is not installed: pip install persist-queue")
    report("installing azure-iot-device", 0.0)
    python = sdk_python()
    with tempfile.TemporaryDirectory(dir=folder, prefix="bench-pi-") as made:
        return asyncio.run(_measure(Path(made), python, effort, report))


def as_json(figures: Figures) -> dict[str, Any]:
    """Return the figures as plain data."""
    return asdict(figures)


def lines(figures: Figures) -> list[str]:
    """Return the figures for people."""
    ours, theirs = figures.fieldpost, figures.rival
    rows = [
        ("memory (PSS)", "MiB", ours.pss_mib, theirs.pss_mib, 1),
        ("processor at 1 reading/s", "%", ours.cpu_percent, theirs.cpu_percent, 2),
        ("start to first reading stored", "s", ours.start_s, theirs.start_s, 2),
    ]
    other = " + ".join(f"{name} {version}" for name, version in figures.versions.items())
    stored = f"readings stored in {figures.seconds:g} s"
    return [
        f"{'':<32}{'fieldpost':>12}{'other':>12}{'ratio':>8}   other: {other}",
        *(
            f"{name:<32}{f'{a:.{digits}f} {unit}':>12}{f'{b:.{digits}f} {unit}':>12}{a / b if b else 0:>8.2f}"
            for name, unit, a, b, digits in rows
        ),
        f"{stored:<32}{ours.delivered:>12}{theirs.delivered:>12}",
    ]


def sdk_python() -> Path:
    """Return an interpreter that has azure-iot-device, installed on first use; UserError if that fails."""
    pins = _HERE / "rival.txt"
    entry = "pi-rival-" + hashlib.sha256(pins.read_bytes()).hexdigest()[:12]
    with cache.locked(entry) as home:
        python = home / "bin" / "python"
        mark = home / "complete"
        if not mark.exists():
            install: list[str | Path] = [
                python,
                "-m",
                "pip",
                "install",
                "-q",
                "--disable-pip-version-check",
                "--require-hashes",
            ]
            # paho-mqtt 1.6, which azure-iot-device asks for, was never published as a wheel.
            binary = ["--only-binary", ":all:", "--no-binary", "paho-mqtt"]
            make: list[str | Path] = [sys.executable, "-m", "venv", "--clear", home]
            for command in (make, [*install, *binary, "-r", pins]):
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    raise UserError(f"azure-iot-device cannot be installed: {done.stderr.strip().splitlines()[-1]}")
            mark.touch()
    return python


async def _measure(folder: Path, rival_python: Path, effort: Effort, report: Report) -> Figures:
    address = f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(2, 254)}"
    hub = Hub(folder / "hub", address, _MQTT_PORT, hostname=address)
    await hub.start()
    hardware = PiHardware(folder / "hardware")
    hardware.wires.attach(0x77, Bme280())
    hardware.start()
    try:
        key = hub.devices.create(_DEVICE).primary_key
        starters = (_fieldpost(folder, hub, key), _rival(folder, hub, key, rival_python))
        ours = await _footprint(starters[0], hub, effort, lambda part: report("fieldpost", part / 2))
        theirs = await _footprint(starters[1], hub, effort, lambda part: report("azure-iot-device", 0.5 + part / 2))
        return Figures(effort.seconds, ours, theirs, _versions(rival_python))
    finally:
        hardware.stop()
        await hub.stop()


async def _footprint(
    start: Callable[[], subprocess.Popen[bytes]], hub: Hub, effort: Effort, report: Callable[[float], object]
) -> Footprint:
    starts = []
    for turn in range(effort.starts):
        report(turn / (2 * effort.starts))
        before = _delivered(hub)
        begin = time.monotonic()
        process = start()
        try:
            while _delivered(hub) == before:
                if process.poll() is not None or time.monotonic() - begin > _START_S:
                    raise RecordsDiffer(f"no reading was delivered within {_START_S} s")
                await asyncio.sleep(0.005)
            starts.append(time.monotonic() - begin)
            if turn == effort.starts - 1:
                await asyncio.sleep(_SETTLE_S)
                stored, used, since = _delivered(hub), _cpu_s(process.pid), time.monotonic()
                while (elapsed := time.monotonic() - since) < effort.seconds:
                    report(0.5 + elapsed / effort.seconds / 2)
                    await asyncio.sleep(min(0.5, effort.seconds - elapsed))
                cpu = (_cpu_s(process.pid) - used) / (time.monotonic() - since) * 100
                pss, stored = _pss_mib(process.pid), _delivered(hub) - stored
        finally:
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, 10)
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait)
    if stored < effort.seconds / INTERVAL_S / 2:  # what a busy machine delivers later is no fault of theirs
        raise RecordsDiffer(f"{stored} readings were delivered in {effort.seconds:g} s")
    return Footprint(round(pss, 2), round(cpu, 2), round(statistics.median(starts), 3), stored)


def _delivered(hub: Hub) -> int:
    """Return how many readings the hub has; both put the quantity's name before each value."""
    return sum(message.body.count(b'"temperature":') for message in hub.messages(_DEVICE))


def _fieldpost(folder: Path, hub: Hub, key: str) -> Callable[[], subprocess.Popen[bytes]]:
    config = {
        "device": _DEVICE,
        "board": "raspberry_pi",
        "port": "linux",
        "hub": {"host": hub.hostname, "port": _MQTT_PORT},
        "sample_interval_ms": round(INTERVAL_S * 1000),
        "batch": {"age_ms": 0},  # as the other does it: each reading leaves at once
        "ring": {"kind": "file", "path": str(folder / "queue"), "sectors": 1024},
        "i2c": {"id": 1, "scl": 3, "sda": 2},
        "sensors": [{"driver": "bme280"}],
    }
    (folder / "config.json").write_text(json.dumps(config))
    identity = {"device_id": _DEVICE, "key": key, "ca_der": base64.b64encode(hub.ca_der).decode()}
    _private(folder / "identity.json", json.dumps(identity))
    folders = [str(Path(fieldpost.__file__).parents[1]), str(umqtt.find_or_download()), sysconfig.get_path("purelib")]
    arguments = ["--config", str(folder / "config.json"), "--identity", str(folder / "identity.json")]
    return lambda: _start(Path(sys.executable), folder, folders, ["fieldpost.daemon", *arguments], {})


def _rival(folder: Path, hub: Hub, key: str, python: Path) -> Callable[[], subprocess.Popen[bytes]]:
    connection = folder / "connection"
    _private(connection, f"HostName={hub.hostname};DeviceId={_DEVICE};SharedAccessKey={key}")
    # Its own packages first: its paho-mqtt is another than the project's.
    folders = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    program = [rival.__file__, str(connection), str(folder / "rival-queue"), str(INTERVAL_S)]
    return lambda: _start(python, folder, folders, program, {"SSL_CERT_FILE": str(hub.ca_file)})


def _start(
    python: Path, folder: Path, folders: list[str], program: list[str], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    # Isolated: nothing of the project's environment comes in but what is named.
    command: list[str | Path] = [
        python,
        "-I",
        on_pi.__file__,
        _KERNEL,
        folder / "hardware",
        ":".join(folders),
        *program,
    ]
    with open(folder / "log", "ab") as log:
        return subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log, cwd=folder)


def _private(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _cpu_s(pid: int) -> float:
    """Return the processor time that a process's threads have used (Linux: Documentation/scheduler/sched-stats.rst)."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def _pss_mib(pid: int) -> float:
    """Return the proportional set size: memory of its own, and its share of what others use as well."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise UserError("this kernel does not tell the proportional set size (CONFIG_PROC_PAGE_MONITOR)")


def _versions(python: Path) -> dict[str, str]:
    names = ("azure-iot-device", "persist-queue")
    program = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
    interpreters = (python, Path(sys.executable))
    return {
        name: subprocess.run([at, "-c", program, name], capture_output=True, text=True).stdout.strip()
        for name, at in zip(names, interpreters, strict=True)
    }
