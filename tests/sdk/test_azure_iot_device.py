"""Unmodified azure-iot-device against the local hub.

Goal: Microsoft's own device SDK cannot tell the difference. Method: its programs run as programs, with a connection
string and a root certificate, over MQTT and over WebSockets.
"""

import asyncio
import json

import pytest

from host_tools.hub.devices.methods import MethodTimeout
from tests.sdk.conftest import connection_string


class Device:
    """The program device.py."""

    def __init__(self, program) -> None:
        self._program = program
        self._kept: list = []

    async def says(self, what):
        """Return what it says next about `what`; what else it says is kept."""
        for index, (name, value) in enumerate(self._kept):
            if name == what:
                del self._kept[index]
                return value
        while True:
            name, value = json.loads(await self._program.line())
            if name == what:
                return value
            self._kept.append((name, value))

    async def asked(self, line, what):
        self._program.tell(line)
        return await self.says(what)


async def until(condition):
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("transport", ["mqtt", "websockets"])
async def test_a_device_does_all_that_the_sdk_offers(running_hub, program, request, transport):
    is_web = transport == "websockets"
    ports = [request.getfixturevalue("https_port")] if is_web else []
    async with running_hub(*ports) as hub:
        keys = {"WEBSOCKETS": "1"} if is_web else {}
        string = connection_string(hub, "dev-1")
        async with program("device", hub, CONNECTION_STRING=string, **keys) as running:
            device = Device(running)
            assert await device.says("connected") is True

            assert await device.asked("send 100", "sent") == 100
            stored = list(hub.messages("dev-1"))
            assert [json.loads(message.body)["n"] for message in stored] == list(range(100))
            assert stored[3].message_id == "m-3"
            assert stored[3].properties == {"place": "Küche & Keller", "n": "3"}
            assert stored[3].system["content-type"] == "application/json"
            assert stored[3].system["correlation-id"] == "c/1"

            await hub.send("dev-1", b"open", {"urgent": "yes & no"}, "id-1", system={"correlation-id": "c 2"})
            assert await device.says("command") == ["open", "id-1", "c 2", {"urgent": "yes & no"}]
            await until(lambda: hub.pending("dev-1") == 0)

            status, payload = await hub.invoke_method("dev-1", "blink", b'{"times": 3}', connect_timeout_s=120)
            assert (status, json.loads(payload)) == (207, {"echo": {"times": 3}})
            assert await device.says("method") == ["blink", {"times": 3}]
            with pytest.raises(MethodTimeout):
                await hub.invoke_method("dev-1", "silence", response_timeout_s=1)

            assert await device.asked("twin", "twin") == {"desired": {"$version": 1}, "reported": {"$version": 1}}
            await device.asked('report {"a": {"b": 1, "c": null}, "gone": 5}', "reported")
            await device.asked('report {"gone": null}', "reported")
            await hub.change_twin("dev-1", desired={"interval": 5})
            assert await device.says("desired") == {"interval": 5, "$version": 2}
            twin = await device.asked("twin", "twin")
            assert twin == {
                "desired": {"interval": 5, "$version": 2},
                "reported": {"a": {"b": 1}, "$version": 3},
            }
            assert await device.asked("end", "ended")
            assert await running.ended() == 0


async def test_a_device_comes_back_when_the_hub_does(running_hub, program):
    """The SDK does not subscribe again after a reconnect: the hub must remember what it had subscribed to."""
    async with running_hub() as hub:
        string = connection_string(hub, "dev-1")
        start = program("device", hub, CONNECTION_STRING=string)
        running = await start.__aenter__()
        device = Device(running)
        await device.says("connected")
        await device.asked("twin", "twin")
        await hub.send("dev-1", b"first", {})
        assert (await device.says("command"))[0] == "first"
    try:
        assert await device.says("connected") is False
        async with running_hub() as hub:
            await hub.change_twin("dev-1", desired={"while": "away"})
            await hub.send("dev-1", b"second", {})
            assert await device.says("connected") is True
            assert (await device.says("command"))[0] == "second"
            assert (await hub.invoke_method("dev-1", "m", connect_timeout_s=120))[0] == 207
            assert (await device.says("desired"))["while"] == "away"
            assert await device.asked("send 3", "sent") == 3
            assert len(list(hub.messages())) == 3
            assert await device.asked("end", "ended")
    finally:
        await start.__aexit__(None, None, None)


async def test_a_token_is_renewed_before_it_expires(running_hub, program):
    """With a life of 124 s the SDK renews after 4 s: it disconnects and connects again with a new token."""
    async with running_hub() as hub:
        string = connection_string(hub, "dev-1")
        async with program("device", hub, CONNECTION_STRING=string, TTL="124") as running:
            device = Device(running)
            assert await device.says("connected") is True
            assert await device.says("connected") is False
            assert await device.says("connected") is True
            await hub.send("dev-1", b"after", {})
            assert (await device.says("command"))[0] == "after"


@pytest.mark.parametrize("kind", ["selfSigned", "certificateAuthority"])
async def test_a_device_with_a_certificate(running_hub, program, tmp_path, kind):
    from tests.hub.client_certificates import Authority, thumbprint

    async with running_hub() as hub:
        authority = Authority("a factory's CA")
        if kind == "selfSigned":
            certificate, key = Authority("dev-1", is_authority=False).files(tmp_path)
            hub.devices.create("dev-1", authentication=kind, primary_thumbprint=thumbprint(certificate))
        else:
            hub.authorities.add("factory", authority.pem)
            certificate, key = authority.between("a line's CA").device("dev-1").files(tmp_path)
            hub.devices.create("dev-1", authentication=kind)
        names = {"CERTIFICATE": str(certificate), "KEY": str(key), "HOST": hub.hostname, "DEVICE": "dev-1"}
        async with program("device", hub, **names) as running:
            device = Device(running)
            assert await device.says("connected") is True
            assert await device.asked("send 5", "sent") == 5
            assert len(list(hub.messages("dev-1"))) == 5
