"""What becomes of commands: locks, expiry, dead letters, and the feedback that tells of it."""

import asyncio
import time

import pytest

from host_tools.errors import UserError
from host_tools.hub.behaviour import Behaviour
from host_tools.hub.devices.command_queue import QueueFull
from host_tools.hub.devices.feedback import BATCH_MAX
from tests.hub.hub_bench import COMMANDS, running, until
from tests.hub.raw_device import RawDevice, puback, subscribe, take_publish


async def listening(hub, qos=1):
    device = await RawDevice.connected(hub, "dev1")
    device.send(subscribe(COMMANDS + "#"))
    assert await device.receive() == (0x90, b"\x00\x01\x01")
    return device


def outcomes(hub):
    batch = hub.feedback.batch()
    return [] if batch is None else [(record["originalMessageId"], record["statusCode"]) for record in batch.records]


@pytest.mark.parametrize("ack", ["none", "positive", "negative", "full", None])
def test_feedback_is_given_to_who_asked(run, tmp_path, ack):
    async def scenario():
        now = [time.time()]
        async with running(tmp_path, clock=lambda: now[0]) as hub:
            device = await listening(hub)
            properties = {} if ack is None else {"iothub-ack": ack}
            await hub.send("dev1", b"", properties, "done")
            device.send(puback(take_publish(await device.receive())[2]))
            await until(lambda: hub.pending("dev1") == 0)
            device.close()
            await until(lambda: not hub.is_connected("dev1"))
            await hub.send("dev1", b"", properties, "late", expiry_unix_s=now[0] + 60)
            await hub.send("dev1", b"", properties, "purged")
            now[0] += 61
            wanted = {"positive": ["done"], "negative": ["late", "purged"], "full": ["done", "late", "purged"]}
            assert hub.pending("dev1") == 1
            assert hub.command_queue("dev1").purge() == 1
            states = {"done": "Success", "late": "Expired", "purged": "Purged"}
            expected = [(name, states[name]) for name in wanted.get(ack, [])]
            await until(lambda: outcomes(hub) == expected)
        async with running(tmp_path) as hub:  # it is kept until somebody has dealt with it
            assert outcomes(hub) == expected
            if expected:
                batch = hub.feedback.batch()
                assert batch.records[0]["deviceId"] == "dev1" and batch.records[0]["deviceGenerationId"].isdigit()
                hub.feedback.complete(1, batch.through)
        async with running(tmp_path) as hub:
            assert outcomes(hub) == []

    run(scenario())


def test_feedback_comes_in_batches_and_goes_with_its_device(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            hub.devices.create("dev1")
            hub.devices.create("dev2")
            for _ in range(2):
                for index in range(40):
                    await hub.send("dev1", b"", {"iothub-ack": "full"}, f"{index}")
                hub.command_queue("dev1").purge()
            await hub.send("dev2", b"", {"iothub-ack": "full"}, "kept")
            hub.command_queue("dev2").purge()
            await until(lambda: len(hub.feedback) == 81)
            batch = hub.feedback.batch()
            assert len(batch.records) == BATCH_MAX
            assert len(hub.feedback.batch(batch.through).records) == 81 - BATCH_MAX
            hub.delete_device("dev1")
            assert outcomes(hub) == [("kept", "Purged")]
        async with running(tmp_path) as hub:
            assert outcomes(hub) == [("kept", "Purged")] and hub.devices.get("dev1") is None

    run(scenario())


def test_a_command_lives_an_hour_unless_it_says_otherwise(run, tmp_path):
    async def scenario():
        now = [time.time()]
        async with running(tmp_path, clock=lambda: now[0]) as hub:
            hub.devices.create("dev1")
            await hub.send("dev1", b"", {})
            await hub.send("dev1", b"", {}, expiry_unix_s=now[0] + 7200)
            now[0] += 3599
            assert hub.pending("dev1") == 2
            now[0] += 2
            assert hub.pending("dev1") == 1
        async with running(tmp_path, clock=lambda: now[0] + 7200) as hub:
            assert hub.pending("dev1") == 0

    run(scenario())


def test_an_expiry_is_told_although_nobody_asks(run, tmp_path):
    async def scenario():
        now = [time.time()]
        async with running(tmp_path, clock=lambda: now[0]) as hub:
            hub.devices.create("dev1")
            await hub.send("dev1", b"", {"iothub-ack": "full"}, "m", expiry_unix_s=now[0] + 1)
            now[0] += 2
            await until(lambda: outcomes(hub) == [("m", "Expired")])

    run(scenario())


def test_a_lock_protects_a_command_for_a_minute_and_not_longer(run, tmp_path):
    async def scenario():
        now = [time.time()]
        async with running(tmp_path, clock=lambda: now[0]) as hub:
            device = await listening(hub)
            await hub.send("dev1", b"", {"iothub-ack": "full"}, "m", expiry_unix_s=now[0] + 10)
            packet_id = take_publish(await device.receive())[2]
            now[0] += 30  # expired, and still the device's
            assert hub.pending("dev1") == 1
            now[0] += 31
            assert hub.pending("dev1") == 0
            await until(lambda: outcomes(hub) == [("m", "Expired")])
            device.send(puback(packet_id) + b"\xc0\x00")
            assert await device.receive() == (0xD0, b"")
            assert outcomes(hub) == [("m", "Expired")], "an outcome is told once"

    run(scenario())


@pytest.mark.parametrize("counts", [True, False])
def test_a_command_that_always_comes_back_is_given_up_if_returns_count(run, tmp_path, counts):
    async def scenario():
        behaviour = Behaviour(c2d_counts_every_return=counts, c2d_max_delivery_count=3)
        async with running(tmp_path, behaviour=behaviour) as hub:
            hub.devices.create("dev1")
            await hub.send("dev1", b"", {"iothub-ack": "full"}, "m")
            for _ in range(3):
                device = await listening(hub)
                assert (await device.receive())[0] & 0xF0 == 0x30
                device.close()
                await until(lambda: not hub.is_connected("dev1"))
            assert hub.pending("dev1") == (0 if counts else 1)
            if counts:
                await until(lambda: outcomes(hub) == [("m", "DeliveryCountExceeded")])

    run(scenario())


def test_the_fifty_first_command_is_refused_as_the_real_hub_does(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            hub.devices.create("dev1")
            sent = await asyncio.gather(*(hub.send("dev1", b"", {}) for _ in range(60)), return_exceptions=True)
            assert sum(isinstance(one, QueueFull) for one in sent) == 10
            assert hub.pending("dev1") == 50

    run(scenario())


def test_properties_of_a_command_arrive_and_wrong_ones_are_named(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await listening(hub)
            system = {"correlation-id": "c/1", "content-type": "text/plain", "user-id": "u"}
            await hub.send("dev1", b"x", {"iothub-ack": "full", "a": "b=c&d"}, "m", system=system)
            bag = take_publish(await device.receive())[0].removeprefix(COMMANDS)
            assert set(bag.split("&")) == {
                "%24.mid=m",
                "%24.to=%2Fdevices%2Fdev1%2Fmessages%2Fdevicebound",
                "%24.cid=c%2F1",
                "%24.ct=text%2Fplain",
                "%24.uid=u",
                "iothub-ack=full",
                "a=b%3Dc%26d",
            }
            for keys, word in (
                ({"properties": {"iothub-ack": "maybe"}}, "iothub-ack"),
                ({"properties": {}, "system": {"colour": "red"}}, "colour"),
                ({"properties": {}, "message_id": "m" * 129}, "128"),
            ):
                with pytest.raises(UserError, match=word):
                    await hub.send("dev1", b"", **keys)

    run(scenario())
