"""The device's link, session and outbox against the local hub over TLS, on both interpreters."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import sys
from pathlib import Path

import pytest

from host_tools.hub import Hub, read_messages
from host_tools.hub.certificates import Certificates
from host_tools.hub.devices.registry import SELF_SIGNED
from host_tools.provision.authority import Authority
from host_tools.provision.device_identity import identity
from host_tools.provision.inventory import CERTIFICATE, Entry
from host_tools.toolchain import umqtt

PROGRAM = Path(__file__).with_name("link_program.py")
ROOT = Path(__file__).parents[2]
RECORDS = 500


@pytest.fixture(params=["cpython", "micropython"])
def run(request, micropython, tmp_path):
    """Return a coroutine function that runs the program on one interpreter and returns what it printed."""
    paths = [str(ROOT / "firmware"), str(ROOT), str(umqtt.find_or_download())]
    environment = dict(os.environ)
    if request.param == "cpython":
        command = [sys.executable]
        environment["PYTHONPATH"] = ":".join(paths)
    else:
        command = [str(micropython)]
        environment["MICROPYPATH"] = ":".join([".frozen", *paths])

    async def run_program(**asked):
        asked = {"host": "localhost", "records": RECORDS, "seconds": 120, **asked}
        arguments = tmp_path / "arguments.json"
        arguments.write_text(json.dumps(asked))
        process = await asyncio.create_subprocess_exec(
            *command, str(PROGRAM), str(arguments), env=environment, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await asyncio.wait_for(process.communicate(), 300)
        assert process.returncode == 0, output.decode()
        return json.loads(output)

    return run_program


async def started(directory, **keys):
    hub = Hub(directory, **keys)
    await hub.start()
    hub.devices.create("dev1")
    return hub


def delivered(directory):
    return [record["n"] for m in read_messages(directory) for record in json.loads(m.body)["records"]]


def credentials(hub):
    key = hub.devices.create("dev1").primary_key
    return {"key": key, "ca": base64.b64encode(hub.ca_der).decode()}


async def test_a_backlog_arrives_in_order_and_a_command_comes_back(run, tmp_path):
    hub = await started(tmp_path / "hub")
    try:
        await hub.send("dev1", b'{"command":"ping"}', {})
        found = await run(port=hub.port, **credentials(hub))
        assert found["pending"] == 0 and found["commands"] == ["ping"] and found["errors"] == []
        assert hub.pending("dev1") == 0
    finally:
        await hub.stop()
    assert delivered(tmp_path / "hub") == list(range(1, RECORDS + 1))


async def test_a_certificate_stands_for_a_key(run, tmp_path):
    hub = await started(tmp_path / "hub")
    issued = Authority(tmp_path / "authority").issue("dev1")
    hub.devices.update("dev1", authentication=SELF_SIGNED, primary_thumbprint=issued.thumbprint)
    entry = Entry("dev1", hub.hostname, CERTIFICATE, certificate=issued.certificate, private_key=issued.key)
    who = identity(entry, [hub.ca_der], {})
    try:
        await hub.send("dev1", b'{"command":"ping"}', {})
        shown = {name: who[name] for name in ("certificate", "private_key")}
        found = await run(port=hub.port, ca=who["ca_der"][0], **shown)
        assert found["pending"] == 0 and found["errors"] == []
    finally:
        await hub.stop()
    assert delivered(tmp_path / "hub") == list(range(1, RECORDS + 1))


async def test_a_hub_that_restarts_in_between_costs_nothing(run, tmp_path):
    hub = await started(tmp_path / "hub")
    port = hub.port
    device = asyncio.create_task(run(port=port, **credentials(hub)))
    while not hub.is_connected("dev1"):
        assert not device.done(), device.result()
        await asyncio.sleep(0.002)
    await hub.stop()
    hub = await started(tmp_path / "hub", port=port)
    try:
        await hub.send("dev1", b'{"command":"ping"}', {})
        found = await device
        assert found["pending"] == 0
    finally:
        await hub.stop()
    assert sorted(set(delivered(tmp_path / "hub"))) == list(range(1, RECORDS + 1))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("key", "refused: not authorised (5)"),
        ("authority", "certificate not accepted"),
        ("host", "certificate not accepted"),
        ("nobody", "nobody listens there"),
        ("silence", "no answer within"),
    ],
)
async def test_every_refusal_is_told_and_every_reading_kept(run, tmp_path, fault, error):
    hub = await started(tmp_path / "hub")
    asked = {"port": hub.port, "seconds": 120, "ends_refused": True, **credentials(hub)}
    silent = socket.create_server(("127.0.0.1", 0))
    if fault == "key":
        asked["key"] = base64.b64encode(b"another key of the right size...").decode()
    elif fault == "authority":
        asked["ca"] = base64.b64encode(Certificates(tmp_path / "other").ca_der).decode()
    elif fault == "host":
        asked["host"] = "127.0.0.2"
    elif fault == "nobody":
        asked["port"] = silent.getsockname()[1]
        silent.close()
    elif fault == "silence":
        asked.update(port=silent.getsockname()[1], haste=10)  # of 20 s until it gives up
    try:
        if fault == "host":
            silent.close()
            relay = await asyncio.start_server(lambda reader, writer: _relay(reader, writer, hub.port), "127.0.0.2", 0)
            asked["port"] = relay.sockets[0].getsockname()[1]
        found = await run(**asked)
    finally:
        silent.close()
        await hub.stop()
    assert any(text.startswith(error) for text in found["errors"]), found["errors"]
    assert found["pending"] == RECORDS and found["acked"] == 0
    assert delivered(tmp_path / "hub") == []


async def _relay(reader, writer, port):
    upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)

    async def copy(source, target):
        while data := await source.read(4096):
            target.write(data)
        target.close()

    await asyncio.gather(copy(reader, upstream_writer), copy(upstream_reader, writer), return_exceptions=True)
