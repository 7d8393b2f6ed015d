"""`fieldpost send`, `method` and `twin` to a device at a bare hub: a Raspberry Pi that runs the service."""

import asyncio
import json

import pytest

from host_tools.config.settings import read_settings
from host_tools.errors import UserError
from host_tools.hub.service.admin import AdminApi
from host_tools.remote import device as remote
from host_tools.remote.local_hub import LocalHubDevice
from host_tools.remote.service import ServiceDevice

from .machine import DEVICE
from .test_service import readings
from .until import until

ANSWER_S = 120.0


@pytest.fixture
async def running_pi(pi):
    pi.start()
    admin = AdminApi(pi.hub)
    await admin.start()
    await until(lambda: readings(pi), pi.said)
    yield pi
    await admin.stop()


async def test_a_device_at_a_hub_of_this_machine(running_pi):
    pi = running_pi
    found = LocalHubDevice(DEVICE, pi.hub.directory)
    ask = asyncio.to_thread
    assert await ask(found.is_known) and not await ask(LocalHubDevice("nobody", pi.hub.directory).is_known)
    done = await ask(found.send, "gpio.set", {"pin": "relay", "value": 1}, ANSWER_S)
    assert (done["status"], done["result"]) == ("done", {"pin": "relay", "value": 1})
    assert pi.hardware.pins[17].level == 1
    refused = await ask(found.send, "gpio.set", {"pin": "relay", "value": 5}, ANSWER_S)
    assert refused["status"] == "refused" and refused["result"]["reason"].startswith("value is 5")
    called = await ask(found.method, "gpio.get", {"pin": "relay"}, ANSWER_S)
    assert (called["status"], called["answer"]["result"]["value"]) == (200, 1)
    assert (await ask(found.method, "no.such", {}, ANSWER_S))["status"] == 404
    applied = await ask(found.set_twin, {"pins": {"relay": 0}}, ANSWER_S)
    assert (applied["status"], pi.hardware.pins[17].level) == ("applied", 0)
    assert (await ask(found.twin))["reported"]["pins"]["relay"]["value"] == 0
    await ask(pi.stop)
    silent = await ask(found.send, "ping", {}, 0.2)
    assert (silent["status"], "keeps the command" in silent["reason"]) == ("none", True)
    gone = await ask(found.method, "ping", {}, 5.0)
    assert (gone["status"], gone["code"]) == (None, 404103)
    unread = await ask(found.set_twin, {"pins": {"relay": 1}}, 0.2)
    assert (unread["status"], "keeps the desired" in unread["reason"]) == ("none", True)


async def test_a_device_at_any_hub_over_the_services_rest(running_pi):
    pi, ask = running_pi, asyncio.to_thread
    connection_string = pi.hub.policies.connection_string("localhost")
    found = ServiceDevice(DEVICE, connection_string, pi.hub.ca_file, pi.hub.port)
    called = await ask(found.method, "gpio.set", {"pin": "relay", "value": 1}, ANSWER_S)
    assert (called["status"], called["answer"]["status"], pi.hardware.pins[17].level) == (200, "done", 1)
    assert (await ask(found.method, "gpio.set", {"pin": "relay", "value": 5}, ANSWER_S))["status"] == 400
    applied = await ask(found.set_twin, {"pins": {"relay": 0}, "settings": {"batch_records": 5}}, ANSWER_S)
    assert (applied["status"], pi.hardware.pins[17].level) == ("applied", 0)
    twin = await ask(found.twin)
    assert twin["desired"]["settings"] == {"batch_records": 5} and "$metadata" not in json.dumps(twin)
    with pytest.raises(UserError, match="AMQP alone: use 'fieldpost method"):
        await ask(found.send, "ping", {}, ANSWER_S)
    nobody = ServiceDevice("nobody", connection_string, pi.hub.ca_file, pi.hub.port)
    with pytest.raises(UserError, match="knows no device 'nobody'"):
        await ask(nobody.twin)
    assert (await ask(nobody.method, "ping", {}, 5.0))["status"] is None
    wrong = ServiceDevice(DEVICE, connection_string[:-5] + "AAAA=", pi.hub.ca_file, pi.hub.port)
    with pytest.raises(UserError, match="check the policy"):
        await ask(wrong.twin)


async def test_the_way_to_a_device_is_found_by_what_there_is(running_pi, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv(remote.ENVIRONMENT, raising=False)
    (tmp_path / "fieldpost.toml").write_text(f'[hub]\nkind = "local"\ndata = "{running_pi.hub.directory}"\n')
    assert read_settings().hub_data == running_pi.hub.directory
    assert isinstance(await asyncio.to_thread(remote.find, DEVICE), LocalHubDevice)
    with pytest.raises(UserError, match="knows no device 'Nobody'"):
        await asyncio.to_thread(remote.find, "Nobody")
    absent = await asyncio.to_thread(remote.find, "absent")
    with pytest.raises(UserError, match="board 'absent' is not running"):
        absent.twin()
    monkeypatch.setenv(remote.ENVIRONMENT, running_pi.hub.policies.connection_string("localhost"))
    assert isinstance(await asyncio.to_thread(remote.find, DEVICE), ServiceDevice)
