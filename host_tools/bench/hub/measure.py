"""What is measured, and how: turns of both servers in alternation, so that a slow minute of the machine hits both."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from host_tools.bench import Report
from host_tools.bench.mosquitto import Mosquitto
from host_tools.errors import UserError
from host_tools.hub import Hub, process, sas
from host_tools.hub.process import HubProcess

CONNECTIONS: Final = 20
WINDOWS: Final = (16, 1)
PAYLOAD_BYTES: Final = 120
TLS_CONNECTIONS: Final = 2000
# A topic as devices have it: content type and encoding, and a property of their own.
TOPIC: Final = "devices/{}/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8&sensor=1"
_CONNECT_S: Final = 120.0
_TOKEN_S: Final = 3600


@dataclass(frozen=True)
class Effort:
    """turns: of each server and window, of which the median counts. seconds: of one turn."""

    turns: int = 5
    seconds: float = 3.0
    tls_connections: int = TLS_CONNECTIONS


QUICK: Final = Effort(1, 1.0, 200)


@dataclass
class Rates:
    """Messages per second in each turn, and the time from a publish to its acknowledgement, by window."""

    per_s: dict[int, list[float]] = field(default_factory=lambda: {window: [] for window in WINDOWS})
    p50_ms: dict[int, list[float]] = field(default_factory=lambda: {window: [] for window in WINDOWS})

    def median(self, window: int) -> float:
        """Messages per second."""
        return statistics.median(self.per_s[window])


@dataclass
class Figures:
    """Of one run. rss_mb: the hub's memory with tls_connections devices connected; stored: messages in its file."""

    hub: Rates
    mosquitto: Rates
    mosquitto_version: str
    tls_connections: int
    rss_mb: float
    rss_before_mb: float
    connected_in_s: float
    acknowledged: int
    stored: int

    def ratio(self, window: int) -> float:
        """The hub's messages per second as a share of Mosquitto's."""
        return self.hub.median(window) / self.mosquitto.median(window)


def measure(folder: Path, effort: Effort, report: Report) -> Figures:
    """Measure in a folder on the disk that is to be measured; it is left as it was."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="bench-hub-") as made:
        return asyncio.run(_measure(Path(made), effort, report))


def _mosquitto(folder: Path, certificates: Path) -> Mosquitto:
    """As fast as it gets: with the hub's certificate, nothing kept on disk, no credentials, no subscribers."""
    tls = {"cafile": "ca.pem", "certfile": "server.pem", "keyfile": "server.key"}
    lines = [f"{setting} {certificates / name}" for setting, name in tls.items()]
    return Mosquitto(folder, ["persistence false", *lines])


async def _measure(folder: Path, effort: Effort, report: Report) -> Figures:
    data = folder / "hub"
    identities = await _identities(data, max(CONNECTIONS, effort.tls_connections))
    rates = {"hub": Rates(), "mosquitto": Rates()}
    steps = effort.turns * len(WINDOWS) * len(rates)
    acknowledged = step = 0
    async with contextlib.AsyncExitStack() as stack:
        hub = await stack.enter_async_context(process.running(data))
        mosquitto = await stack.enter_async_context(_mosquitto(folder, data).running())
        loads = {
            name: await stack.enter_async_context(_load(server, data, identities[:CONNECTIONS]))
            for name, server in (("hub", hub), ("mosquitto", mosquitto))
        }
        for _ in range(effort.turns):
            for window in WINDOWS:
                for name, load in loads.items():
                    report(f"{name}, window {window}", step / steps * 0.9)
                    turn = await load.turn(window, effort.seconds)
                    rates[name].per_s[window].append(turn["messages"] / turn["seconds"])
                    rates[name].p50_ms[window].append(turn["p50_ms"])
                    acknowledged += turn["messages"] if name == "hub" else 0
                    step += 1
        version = mosquitto.version
    stored = await asyncio.to_thread(_count, data)
    if stored < acknowledged:
        raise UserError(f"no figures: {acknowledged} messages were acknowledged and {stored} are in the file")
    report(f"{effort.tls_connections} connections", 0.92)
    async with process.running(data) as hub:
        before_mb = hub.rss_mb
        began = time.perf_counter()
        async with _load(hub, data, identities[: effort.tls_connections]) as many:
            took_s = time.perf_counter() - began
            await many.turn(1, 1.0)  # every one of them has said something
            rss_mb = hub.rss_mb
    report("done", 1.0)
    return Figures(
        rates["hub"],
        rates["mosquitto"],
        version,
        effort.tls_connections,
        rss_mb,
        before_mb,
        took_s,
        acknowledged,
        stored,
    )


class _Load:
    """A running load.py."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def turn(self, window: int, seconds: float) -> dict[str, Any]:
        """Publish for so long and return what came of it."""
        return await self.ask({"window": window, "seconds": seconds}, seconds + 60)  # type: ignore[no-any-return]

    async def ask(self, line: Any, seconds: float) -> Any:
        """Hand it a line and return the next one that it prints."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        async with asyncio.timeout(seconds):
            text = (await self._process.stdout.readline()).decode().strip()
        if not text or text.startswith('{"error"'):
            raise UserError(f"the load came to an end: {text or 'see above'}")
        return text if text == "connected" else json.loads(text)


@contextlib.asynccontextmanager
async def _load(server: HubProcess | Mosquitto, data: Path, identities: list[dict[str, str]]) -> AsyncIterator[_Load]:
    client = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "host_tools.bench.hub.load",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    load = _Load(client)
    order = {
        "port": server.port,
        "ca_file": str(data / "ca.pem"),
        "identities": identities,
        "topic": TOPIC,
        "payload_bytes": PAYLOAD_BYTES,
    }
    try:
        await load.ask(order, _CONNECT_S)
        yield load
    finally:
        if client.returncode is None:
            client.kill()
        await client.wait()


async def _identities(data: Path, count: int) -> list[dict[str, str]]:
    """Make devices in a hub's folder, and tokens for them."""
    hub = Hub(data)
    await hub.start()
    try:
        expiry = str(int(time.time()) + _TOKEN_S)
        made = []
        for number in range(count):
            device = hub.devices.create(f"device-{number:04}")
            scope = f"localhost%2Fdevices%2F{device.id}"
            signature = quote(sas.sign(device.primary_key, scope, expiry), safe="")
            token = f"SharedAccessSignature sr={scope}&sig={signature}&se={expiry}"
            made.append({"device_id": device.id, "token": token})
        return made
    finally:
        await hub.stop()


def _count(data: Path) -> int:
    from host_tools.hub.store import database, events

    with contextlib.closing(database.open_for_reading(data)) as connection:
        return events.last_sequence(connection)


def as_json(figures: Figures) -> dict[str, Any]:
    """Return the figures by the names that scripts rely on."""
    hub, mosquitto = figures.hub, figures.mosquitto
    return {
        "ratio_window_16": round(figures.ratio(16), 3),
        "ratio_window_1": round(figures.ratio(1), 3),
        "tls_connections": figures.tls_connections,
        "rss_mb": round(figures.rss_mb, 1),
        "messages_per_s": round(hub.median(16)),
        "messages_per_s_window_1": round(hub.median(1)),
        "p50_ms_window_16": round(statistics.median(hub.p50_ms[16]), 3),
        "p50_ms_window_1": round(statistics.median(hub.p50_ms[1]), 3),
        "mosquitto_messages_per_s": round(mosquitto.median(16)),
        "mosquitto_messages_per_s_window_1": round(mosquitto.median(1)),
        "mosquitto": figures.mosquitto_version,
        "turns_window_16": [round(rate) for rate in hub.per_s[16]],
        "turns_window_1": [round(rate) for rate in hub.per_s[1]],
        "mosquitto_turns_window_16": [round(rate) for rate in mosquitto.per_s[16]],
        "mosquitto_turns_window_1": [round(rate) for rate in mosquitto.per_s[1]],
        "rss_before_mb": round(figures.rss_before_mb, 1),
        "connected_in_s": round(figures.connected_in_s, 2),
        "acknowledged": figures.acknowledged,
        "stored": figures.stored,
    }
