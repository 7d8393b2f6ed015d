"""`method` and `twin` of a lab, against the hub and a device made of raw packets."""

import asyncio
import contextlib
import json
from types import SimpleNamespace

import pytest

from host_tools.errors import UserError
from host_tools.hub import Hub
from host_tools.lab.verbs import Verbs
from tests.hub.raw_device import RawDevice
from tests.hub.raw_topics import publish_0, subscribe_all, take_event

METHODS, DESIRED, REPORT = (
    "$iothub/methods/POST/",
    "$iothub/twin/PATCH/properties/desired/",
    "$iothub/twin/PATCH/properties/reported/?$rid=1",
)


@contextlib.asynccontextmanager
async def lab_with_device(directory, answer):
    """Give (verbs, lab); answer(topic, body) returns what the device publishes for what it hears: [(topic, body)]."""
    hub = Hub(directory)
    await hub.start()
    board = SimpleNamespace(powered=True, link=SimpleNamespace(is_up=True))
    hub.devices.create("dev1")
    lab = SimpleNamespace(hub=hub, device_id="dev1", board=board)
    device = await RawDevice.connected(hub, "dev1") if answer is not None else None
    listening = None

    async def listen():
        while (received := await device.receive(timeout=300)) is not None:
            for topic, body in answer(*take_event(received)):
                device.send(publish_0(topic, json.dumps(body).encode()))

    try:
        if device is not None:
            device.send(subscribe_all(METHODS + "#", DESIRED + "#"))
            await device.receive()
            listening = asyncio.create_task(listen())
        yield Verbs(lab), lab
    finally:
        if listening is not None:
            listening.cancel()
            device.close()
        await hub.stop()


def method_answer(status, body):
    def answer(topic, _):
        return [(f"$iothub/methods/res/{status}/?$rid={topic.partition('=')[2]}", body)]

    return answer


async def test_a_methods_answer_comes_back_with_its_status(tmp_path):
    body = {"id": "1", "status": "refused", "command": "gpio.set", "result": {"reason": "pin: expected a name"}}
    async with lab_with_device(tmp_path, method_answer(400, body)) as (verbs, _):
        found = await verbs.handle("method", {"name": "gpio.set", "payload": {"pin": 1}, "timeout_s": 120})
    assert found == {"status": 400, "answer": body}


async def test_a_method_that_is_not_answered_says_why(tmp_path):
    async with lab_with_device(tmp_path, lambda topic, body: []) as (verbs, lab):
        asked = {"name": "ping", "payload": {}, "timeout_s": 0.05}
        found = await verbs.handle("method", asked)
        assert (found["status"], found["code"]) == (None, 504101)
        assert "whether it acted is not known" in found["reason"]
        with pytest.raises(UserError, match="method name"):
            await verbs.handle("method", {**asked, "name": "a/b"})
        lab.board.powered = False
        assert "the board is off" in (await verbs.handle("method", asked))["reason"]


async def test_a_method_for_a_device_that_is_away_is_not_kept(tmp_path):
    async with lab_with_device(tmp_path, None) as (verbs, _):
        found = await verbs.handle("method", {"name": "ping", "payload": {}, "timeout_s": 120})
    assert found["code"] == 404103
    assert found["reason"].startswith("the board is not connected; a method is not kept")


async def test_desired_properties_are_applied_when_they_are_reported(tmp_path):
    def answer(topic, body):
        if not topic.startswith(DESIRED):
            return []
        version = json.loads(body)["$version"]
        return [(REPORT, {"pins": {"relay": {"value": 1, "status": "done", "version": v}}}) for v in (1, version)]

    async with lab_with_device(tmp_path, answer) as (verbs, _):
        found = await verbs.handle("set_twin", {"patch": {"pins": {"relay": 1}}, "timeout_s": 120})
        assert (found["status"], found["version"]) == ("applied", 2)
        assert found["properties"] == [
            {"path": "pins.relay", "desired": 1, "reported": 1, "status": "done", "reason": None}
        ]
        twin = await verbs.handle("twin", {})
    assert twin["desired"] == {"pins": {"relay": 1}, "$version": 2}
    assert twin["reported"]["pins"]["relay"]["version"] == 2


async def test_a_property_that_the_board_refuses_says_why(tmp_path):
    def answer(topic, body):
        verdict = {"status": "refused", "version": json.loads(body)["$version"], "reason": "expected 0 or 1"}
        return [(REPORT, {"pins": {"relay": verdict}})] if topic.startswith(DESIRED) else []

    async with lab_with_device(tmp_path, answer) as (verbs, _):
        found = await verbs.handle("set_twin", {"patch": {"pins": {"relay": 5}}, "timeout_s": 120})
    assert found["status"] == "refused"
    assert found["properties"][0]["reason"] == "expected 0 or 1"


async def test_desired_properties_that_nobody_reports_wait_at_the_hub(tmp_path):
    async with lab_with_device(tmp_path, None) as (verbs, lab):
        found = await verbs.handle("set_twin", {"patch": {"pins": {"relay": 1}}, "timeout_s": 0.05})
        assert found["status"] == "none"
        assert found["reason"] == "the board is not connected; the hub keeps the desired properties until it is back"
        with pytest.raises(UserError, match="does not take"):
            await verbs.handle("set_twin", {"patch": {"a.b": 1}, "timeout_s": 0.05})
        assert lab.hub.twins.get("dev1").desired.values == {"pins": {"relay": 1}}
