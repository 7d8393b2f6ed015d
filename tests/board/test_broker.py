"""A board at a broker that owes nothing to this project: Mosquitto, with user and password, a certificate, or neither.

Goal: the same records and commands as at a hub, and the broker knows whether the device is there. Method: Mosquitto
asks for what the case is about; a client of another make (paho) listens to all and sends the commands.
"""

import asyncio
import json
import os
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from host_tools.emulator import EmulatedBoard
from host_tools.hub.certificates import Certificates
from host_tools.hub.process import stop
from host_tools.provision import device_identity
from host_tools.provision.authority import Authority
from host_tools.provision.inventory import CERTIFICATE, Entry
from tests.board.agent_bench import SSID, board_with_agent, identity
from tests.ports import free_port

DEVICE = "shed-1"
STATUS = f"fieldpost/{DEVICE}/status"
PASSWORD = "open sesame"


class Broker:
    """Mosquitto, and what a client at a second port of it has heard: (topic, payload, retained)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificates = Certificates(folder / "tls")
        self.authority = Authority(folder / "authority")
        self.port, self._own_port = free_port(), free_port()
        self.heard: list[tuple[str, bytes, bool]] = []
        self._lock = threading.Lock()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, "listener")
        self.client.on_message = self._on_message
        self.client.on_connect = lambda client, *_: client.subscribe("fieldpost/#", 1)

    @asynccontextmanager
    async def running(self, mosquitto: Path, asks_for: str) -> AsyncIterator[None]:
        tls = self.folder / "tls"
        lines = [f"listener {self._own_port} 127.0.0.1", "allow_anonymous true", f"listener {self.port} 127.0.0.1"]
        if asks_for != "nothing":
            lines += [f"cafile {tls / 'ca.pem'}", f"certfile {tls / 'server.pem'}", f"keyfile {tls / 'server.key'}"]
        if asks_for == "password":
            words = self.folder / "passwords"
            subprocess.run(["mosquitto_passwd", "-b", "-c", words, "field", PASSWORD], check=True)
            lines += ["allow_anonymous false", f"password_file {words}"]
        elif asks_for == "certificate":
            lines[-3] = f"cafile {self.authority.certificate_file}"
            lines += ["allow_anonymous false", "require_certificate true", "use_identity_as_username true"]
        else:
            lines += ["allow_anonymous true"]
        settings = self.folder / "mosquitto.conf"
        user = f"user {os.environ.get('USER') or 'root'}" if os.geteuid() == 0 else ""
        settings.write_text("\n".join(["per_listener_settings true", user, "persistence false", *lines, ""]))
        process = await asyncio.create_subprocess_exec(mosquitto, "-c", settings)
        try:
            await until(self._is_open)
            self.client.connect("127.0.0.1", self._own_port)
            self.client.loop_start()
            yield
        finally:
            self.client.loop_stop()
            await stop(process)

    def records(self) -> list[dict[str, Any]]:
        with self._lock:
            bodies = [payload for topic, payload, _ in self.heard if "/telemetry/" in topic]
        return [record for body in bodies for record in json.loads(body)["records"]]

    def said(self, topic: str) -> list[bytes]:
        with self._lock:
            return [payload for where, payload, _ in self.heard if where == topic]

    def _is_open(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._own_port)) == 0

    def _on_message(self, client: object, data: object, message: paho.MQTTMessage) -> None:
        with self._lock:
            self.heard.append((message.topic, bytes(message.payload), message.retain))


async def until(condition: Callable[[], object], timeout_s: float = 120) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("asks_for", ["password", "certificate", "nothing"])
async def test_a_board_serves_a_broker(tmp_path: Path, micropython: Path, mosquitto: Path, asks_for: str) -> None:
    broker = Broker(tmp_path)
    roots = [broker.certificates.ca_der]
    if asks_for == "certificate":
        issued = broker.authority.issue(DEVICE)
        entry = Entry(DEVICE, "localhost", CERTIFICATE, certificate=issued.certificate, private_key=issued.key)
        who = device_identity.identity(entry, roots, {SSID: "any"})
    elif asks_for == "password":
        who = identity(DEVICE, roots, username="field", password=PASSWORD)
    else:
        who = identity(DEVICE, roots)
    hub = {"dialect": "plain", "tls": asks_for != "nothing", "twin": False}
    async with (
        broker.running(mosquitto, asks_for),
        board_with_agent(tmp_path, micropython, broker.port, who, hub, keepalive_s=5) as board,
    ):
        await until(lambda: len(broker.records()) >= 10)
        await until(lambda: broker.said(STATUS)[-1:] == [b"online"])
        numbers = [record["n"] for record in broker.records() if "temperature" in record]
        first_seen = list(dict.fromkeys(numbers))
        assert first_seen == sorted(first_seen)
        # On one connection nothing comes twice; a busy machine may let the broker give up one.
        assert numbers == first_seen or broker.said(STATUS) != [b"online"]
        if asks_for == "nothing":
            assert any("warning: hub.tls is false" in line for line in board.console)
        else:
            await _commands_act_once(broker, board)
        await board.power_off()  # it says no goodbye: the broker finds out after one and a half keep-alives
        await until(lambda: broker.said(STATUS)[-1] == b"offline")
        # Who comes later learns it too.
        assert _retained(broker, STATUS) == b"offline"


async def _commands_act_once(broker: Broker, board: EmulatedBoard) -> None:
    order = {"id": "c-1", "command": "gpio.pulse", "arguments": {"pin": "relay", "width_ms": 50}}
    for _ in range(3):
        broker.client.publish(f"fieldpost/{DEVICE}/commands", json.dumps(order), 1)
    late = {"id": "c-2", "command": "gpio.set", "arguments": {"pin": "led", "value": 1}, "expires": 1_000}
    broker.client.publish(f"fieldpost/{DEVICE}/commands", json.dumps(late), 1)
    broker.client.publish(f"fieldpost/{DEVICE}/commands", b"no command", 1)

    def answers() -> dict[str, str]:
        return {record["id"]: record["status"] for record in broker.records() if "status" in record}

    await until(lambda: {"c-1", "c-2", ""} <= set(answers()))
    assert answers()["c-1"] == "done" and answers()["c-2"] != "done" and answers()[""] == "refused"
    assert [edge.level for edge in board.pins[26].edges if edge.cause == "agent"] == [1, 0]
    assert board.pins[2].level == 0


def _retained(broker: Broker, topic: str) -> bytes:
    heard: list[bytes] = []
    late = paho.Client(paho.CallbackAPIVersion.VERSION2, "late")
    late.on_connect = lambda client, *_: client.subscribe(topic, 1)
    late.on_message = lambda client, data, message: heard.append(bytes(message.payload)) if message.retain else None
    late.connect("127.0.0.1", broker._own_port)
    for _ in range(2400):
        late.loop(0.05)
        if heard:
            break
    late.disconnect()
    return heard[0]
