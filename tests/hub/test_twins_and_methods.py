"""Twins and direct methods over real TLS, in raw packets."""

import asyncio
import json
import sqlite3

import pytest

from host_tools.errors import UserError
from host_tools.hub.devices.merge_patch import DocumentRefused
from host_tools.hub.devices.methods import DeviceNotOnline, MethodTimeout, TooManyCalls
from tests.hub.hub_bench import running
from tests.hub.raw_device import RawDevice, publish
from tests.hub.raw_topics import publish_0, resumed, subscribe_all, take_event, twin_request

METHODS, RESPONSES, DESIRED = (
    "$iothub/methods/POST/#",
    "$iothub/twin/res/#",
    "$iothub/twin/PATCH/properties/desired/#",
)
GET, REPORT = "$iothub/twin/GET/?$rid=", "$iothub/twin/PATCH/properties/reported/?$rid="


async def subscribed(hub, *filters, device_id="dev1"):
    device = await RawDevice.connected(hub, device_id)
    device.send(subscribe_all(*filters))
    assert await device.receive() == (0x90, b"\x00\x01" + b"\x01" * len(filters))
    return device


def test_a_method_call_goes_to_the_device_and_its_answer_comes_back(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await subscribed(hub, METHODS)
            call = asyncio.create_task(hub.invoke_method("dev1", "set.level", b'{"a":1}'))
            topic, body = take_event(await device.receive())
            name, request_id = topic.removeprefix("$iothub/methods/POST/").split("/?$rid=")
            assert (name, body) == ("set.level", b'{"a":1}')
            device.send(publish(f"$iothub/methods/res/418/?$rid={request_id}", b'{"b":2}', 9))
            assert await device.receive() == (0x40, b"\x00\x09")
            assert await call == (418, b'{"b":2}')
            call = asyncio.create_task(hub.invoke_method("dev1", "empty"))
            topic, body = take_event(await device.receive())
            assert body == b""
            device.send(publish_0(f"$iothub/methods/res/-1/?$rid={topic.partition('=')[2]}"))
            assert await call == (-1, b"")

    run(scenario())


def test_a_method_that_cannot_be_answered_says_why(run, tmp_path, monkeypatch):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await RawDevice.connected(hub, "dev1")
            with pytest.raises(DeviceNotOnline):
                await hub.invoke_method("dev1", "m")  # connected, and not subscribed
            with pytest.raises(DeviceNotOnline):
                await hub.invoke_method("dev1", "m", connect_timeout_s=0.05)
            device.send(subscribe_all(METHODS))
            await device.receive()
            with pytest.raises(MethodTimeout, match="has not answered"):
                await hub.invoke_method("dev1", "m", response_timeout_s=0.05)
            late = take_event(await device.receive())[0].partition("=")[2]
            device.send(publish(f"$iothub/methods/res/200/?$rid={late}", b"", 2))
            assert await device.receive() == (0x40, b"\x00\x02"), "a late answer costs the device nothing"
            call = asyncio.create_task(hub.invoke_method("dev1", "m"))
            await device.receive()
            device.close()
            with pytest.raises(MethodTimeout, match="went away"):
                await call
            monkeypatch.setattr("host_tools.hub.devices.methods.IN_FLIGHT_MAX", 2)
            device = await subscribed(hub, METHODS)
            calls = [asyncio.create_task(hub.invoke_method("dev1", "m")) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(TooManyCalls):
                await hub.invoke_method("dev1", "m")
            device.close()
            await asyncio.gather(*calls, return_exceptions=True)
            for keys in ({"name": "a/b"}, {"name": ""}, {"payload": b"{"}, {"payload": b'"' + bytes(131_072)}):
                with pytest.raises(UserError):
                    await hub.invoke_method("dev1", **{"name": "m", **keys})
            with pytest.raises(UserError, match="stranger"):
                await hub.invoke_method("stranger", "m")

    run(scenario())


def test_a_call_waits_for_the_device_if_it_is_told_to(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            hub.devices.create("dev1")
            call = asyncio.create_task(hub.invoke_method("dev1", "m", connect_timeout_s=120))
            await asyncio.sleep(0.05)
            device = await subscribed(hub, METHODS)
            topic, _ = take_event(await device.receive())
            device.send(publish_0(f"$iothub/methods/res/200/?$rid={topic.partition('=')[2]}", b"1"))
            assert await call == (200, b"1")

    run(scenario())


def test_another_device_cannot_answer_a_call(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await subscribed(hub, METHODS)
            other = await subscribed(hub, METHODS, device_id="dev2")
            call = asyncio.create_task(hub.invoke_method("dev1", "m"))
            request_id = take_event(await device.receive())[0].partition("=")[2]
            other.send(publish(f"$iothub/methods/res/666/?$rid={request_id}", b"", 1))
            assert await other.receive() == (0x40, b"\x00\x01")
            device.send(publish(f"$iothub/methods/res/200/?$rid={request_id}", b"", 1))
            assert await call == (200, b"")

    run(scenario())


def test_a_twin_is_read_patched_and_kept(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await subscribed(hub, RESPONSES)
            new = {"desired": {"$version": 1}, "reported": {"$version": 1}}
            assert await twin_request(device, GET + "a") == (200, "$iothub/twin/res/200/?$rid=a", new)
            patch = b'{"a": {"b": 1, "c": 2}, "list": [1, {"x": null}]}'
            assert await twin_request(device, REPORT + "b", patch) == (
                204,
                "$iothub/twin/res/204/?$rid=b&$version=2",
                None,
            )
            assert (await twin_request(device, REPORT + "c", b'{"a": {"b": null}, "d": "e"}'))[0] == 204
            await hub.change_twin("dev1", desired={"level": 3})
            await hub.change_twin("dev1", tags={"room": "k"})
        async with running(tmp_path) as hub:
            device = await subscribed(hub, RESPONSES)
            _, _, twin = await twin_request(device, GET + "d")
            assert twin == {
                "desired": {"level": 3, "$version": 2},
                "reported": {"a": {"c": 2}, "list": [1, {"x": None}], "d": "e", "$version": 3},
            }
            assert hub.twins.get("dev1").tags == {"room": "k"}
            metadata = hub.twins.get("dev1").reported.metadata
            assert set(metadata) == {"$lastUpdated", "a", "list", "d"} and set(metadata["a"]) == {"$lastUpdated", "c"}

    run(scenario())


@pytest.mark.parametrize(
    "patch",
    [
        b"{",
        b"[]",
        b"null",
        b'{"a.b": 1}',
        b'{"a b": 1}',
        b'{"$x": 1}',
        b'{"": 1}',
        b'{"n": 4503599627370496}',
        b'{"n": NaN}',
        json.dumps({"s": "x" * 4097}).encode(),
        json.dumps({"k" * 1025: 1}).encode(),
        json.dumps({f"k{i}": "x" * 4000 for i in range(9)}).encode(),
        b'{"a":' * 11 + b"1" + b"}" * 11,
        b'{"a":' * 5000,
        b"[" * 100_000,
    ],
)
def test_a_patch_that_a_twin_cannot_hold_changes_nothing(run, tmp_path, patch):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await subscribed(hub, RESPONSES)
            assert (await twin_request(device, REPORT + "a", patch))[0] == 400
            assert hub.twins.get("dev1").for_device()["reported"] == {"$version": 1}

    run(scenario())


def test_the_limits_themselves_are_allowed(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await subscribed(hub, RESPONSES)
            for patch in (
                {"n": 4503599627370495, "m": -4503599627370496, "s": "x" * 4096, "k" * 1024: True},
                json.loads(b'{"a":' * 10 + b"1" + b"}" * 10),
            ):
                assert (await twin_request(device, REPORT + "a", json.dumps(patch).encode()))[0] == 204
            with pytest.raises(DocumentRefused):
                await hub.change_twin("dev1", tags={f"t{i}": "x" * 4000 for i in range(3)})

    run(scenario())


def test_desired_changes_reach_only_who_listens_with_rising_versions(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            deaf = await subscribed(hub, RESPONSES, device_id="deaf")
            device = await subscribed(hub, DESIRED)
            for index in range(3):
                await hub.change_twin("dev1", desired={"n": index, "gone": None})
                await hub.change_twin("deaf", desired={"n": index})
                topic, body = take_event(await device.receive())
                assert topic == f"$iothub/twin/PATCH/properties/desired/?$version={index + 2}"
                assert json.loads(body) == {"n": index, "gone": None, "$version": index + 2}
            await hub.change_twin("dev1", desired={"only": 1}, is_replaced=True)
            assert json.loads(take_event(await device.receive())[1]) == {"only": 1, "$version": 5}
            assert (await twin_request(deaf, GET + "a"))[2]["desired"] == {"n": 2, "$version": 4}

    run(scenario())


def test_a_reported_change_is_answered_when_it_is_durable(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await subscribed(hub, RESPONSES)
            blocker = sqlite3.connect(tmp_path / "hub.sqlite3", isolation_level=None)
            blocker.execute("BEGIN IMMEDIATE")
            device.send(publish(REPORT + "a", b'{"a": 1}', 5))
            with pytest.raises(TimeoutError):
                await device.receive(timeout=0.3)
            blocker.execute("ROLLBACK")
            blocker.close()
            received = [await device.receive() for _ in range(2)]
            assert (0x40, b"\x00\x05") in received and any(first == 0x30 for first, _ in received)

    run(scenario())


def test_acknowledgements_keep_the_order_of_what_was_published(run, tmp_path):
    """MQTT-4.6.0-2, with telemetry, twin and method publishes mixed."""

    async def scenario():
        async with running(tmp_path) as hub:
            device = await RawDevice.connected(hub, "dev1")
            topics = ["devices/dev1/messages/events/", GET + "a", REPORT + "b", "$iothub/methods/res/200/?$rid=1"]
            data = b"".join(publish(topics[index % 4], b"{}", index + 1) for index in range(200))
            device.send(data)
            received = [await device.receive() for _ in range(200)]
            assert [int.from_bytes(body, "big") for _, body in received] == list(range(1, 201))

    run(scenario())


@pytest.mark.parametrize(
    "topic",
    [
        "$iothub/twin/GET/",
        "$iothub/twin/GET/?$rid",
        "$iothub/twin/PUT/?$rid=1",
        "$iothub/methods/res/abc/?$rid=1",
        "$iothub/methods/POST/m/?$rid=1",
        "$iothub/twin/res/200/?$rid=1",
        "$iothub/twin/PATCH/properties/desired/?$version=2",
    ],
)
def test_a_topic_that_is_not_there_closes_the_connection(run, tmp_path, topic):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await subscribed(hub, METHODS, RESPONSES)
            device.send(publish(topic, b"{}", 1))
            assert await device.is_closed()

    run(scenario())


def test_a_session_that_is_not_clean_is_remembered_over_a_restart(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            device, was_known = await resumed(hub, "dev1")
            assert not was_known
            device.send(subscribe_all("devices/dev1/messages/devicebound/#", DESIRED))
            await device.receive()
        async with running(tmp_path) as hub:
            await hub.send("dev1", b"while away", {})
            device, was_known = await resumed(hub, "dev1")
            assert was_known
            first, body = await device.receive()
            assert first == 0x32 and body.endswith(b"while away"), "it must come without a SUBSCRIBE"
            await hub.change_twin("dev1", desired={"a": 1})
            assert "properties/desired" in take_event(await device.receive())[0]
            clean = await RawDevice.connected(hub, "dev1")
            assert await device.is_closed()
            await hub.change_twin("dev1", desired={"a": 2})
            clean.send(b"\xc0\x00")
            assert await clean.receive() == (0xD0, b""), "a clean session has no subscriptions"
            _, was_known = await resumed(hub, "dev1")
            assert not was_known

    run(scenario())


def test_a_resumed_session_gets_its_commands_with_the_packet_ids_that_it_knows(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            device, _ = await resumed(hub, "dev1")
            device.send(subscribe_all("devices/dev1/messages/devicebound/#"))
            await device.receive()
            first = []
            for index in range(3):
                await hub.send("dev1", b"%d" % index, {})
                first.append((await device.receive())[1])
            device.send(b"\x40\x02" + _packet_id(first[0]))
            async with asyncio.timeout(120):
                while hub.pending("dev1") != 2:
                    await asyncio.sleep(0.01)
            device.close()
        async with running(tmp_path) as hub:
            await hub.send("dev1", b"3", {})
            device, _ = await resumed(hub, "dev1")
            again = [await device.receive() for _ in range(3)]
            assert [one[0] for one in again] == [0x3A, 0x3A, 0x32]
            assert [one[1] for one in again[:2]] == first[1:]
            assert len({_packet_id(one[1]) for one in again}) == 3

    run(scenario())


def _packet_id(body):
    end = 2 + int.from_bytes(body[:2], "big")
    return body[end : end + 2]
