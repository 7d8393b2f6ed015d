"""Unmodified azure-eventhub against the hub's built-in endpoint: from the start, from now, by number, checkpoints."""

import asyncio
import contextlib
import json

import pytest

from host_tools.hub.service.partitions import partition_of
from tests.sdk.conftest import AMQP_PORT

DEVICES = ("d1", "d2", "d3", "d4", "d5")


class Reader:
    """The program events.py."""

    def __init__(self, program) -> None:
        self._program = program

    async def does(self, expression):
        """Return the result of an expression; it must not raise."""
        self._program.tell(expression)
        answer = json.loads(await self._program.line())
        assert answer[0] == "ok", answer
        return answer[1]

    async def fails(self, expression):
        """Return what the SDK raises."""
        self._program.tell(expression)
        answer = json.loads(await self._program.line())
        assert answer[0] == "error", answer
        return answer[1:]

    async def reads(self, count, **keys):
        """Return so many messages."""
        given = "".join(f", {name}={value!r}" for name, value in keys.items())
        answer = await self.does(f"read({count}{given})")
        assert not answer["errors"] and len(answer["found"]) == count, answer
        return answer["found"]


@pytest.fixture
def events(running_hub, program):
    """Return a context with (hub, reader)."""

    @contextlib.asynccontextmanager
    async def start(key=None):
        async with running_hub(AMQP_PORT) as hub:
            key = key or hub.policies.primary_key("service")
            string = f"Endpoint=sb://{hub.hostname}/;SharedAccessKeyName=service;SharedAccessKey={key};EntityPath=hub1"
            async with program("events", hub, EVENTS_CONNECTION_STRING=string) as running:
                await running.line()
                yield hub, Reader(running)

    return start


async def store(hub, count, first=0, body=b"number %d"):
    """Store messages of five devices in turn; returns when they are durable."""
    for number in range(first, first + count):
        device_id = DEVICES[number % len(DEVICES)]
        system = {"message-id": f"m-{number}", "content-type": "application/json", "correlation-id": "c"}
        text = body % number if b"%" in body else body
        hub.store_event(device_id, system, {"number": str(number), "none": None}, text, False)
    durable = asyncio.get_running_loop().create_future()
    hub.after_what_was_stored(lambda: durable.set_result(None))
    await durable


async def test_what_a_message_says(events):
    async with events() as (hub, reader):
        device = hub.devices.create("d1")
        await store(hub, 1)
        (message,) = await reader.reads(1)
        assert message["body"] == "number 0" and message["properties"] == {"number": "0", "none": None}
        assert (message["content_type"], message["message_id"]) == ("application/json", "m-0")
        assert message["correlation_id"] == "c" and message["offset"] == str(message["sequence"])
        system = message["system"]
        assert system["iothub-connection-device-id"] == "d1" and system["iothub-message-source"] == "Telemetry"
        assert system["iothub-connection-auth-generation-id"] == device.generation_id
        assert json.loads(system["iothub-connection-auth-method"])["type"] == "sas"
        assert message["partition"] == str(partition_of("d1"))


async def test_from_the_start_every_message_once_and_in_order_for_each_device(events):
    async with events() as (hub, reader):
        await store(hub, 400)
        found = await reader.reads(400)
        assert sorted(int(message["properties"]["number"]) for message in found) == list(range(400))
        for device_id in DEVICES:
            of_device = [one for one in found if one["system"]["iothub-connection-device-id"] == device_id]
            assert [one["sequence"] for one in of_device] == sorted(one["sequence"] for one in of_device)
            assert {one["partition"] for one in of_device} == {str(partition_of(device_id))}


async def test_from_now_only_what_comes(events):
    async with events() as (hub, reader):
        await store(hub, 20)
        await reader.does("readings.update(r=Reading(5, starting_position='@latest'))")
        async with asyncio.timeout(120):
            while hub.partitions.reader_count() < 4:
                await asyncio.sleep(0.02)
        await store(hub, 5, first=100)
        answer = await reader.does("readings['r'].wait()")
        assert sorted(int(one["properties"]["number"]) for one in answer["found"]) == list(range(100, 105))


async def test_by_number_by_offset_and_by_time(events):
    async with events() as (hub, reader):
        await store(hub, 10)
        partition = partition_of("d1")
        mine = [n for n in range(10) if partition_of(DEVICES[n % 5]) == partition]
        where = {"partition_id": str(partition)}
        found = await reader.reads(len(mine), **where)
        third = found[2]
        after = await reader.reads(len(mine) - 3, starting_position=third["sequence"], **where)
        assert after == found[3:]
        assert await reader.reads(len(mine) - 3, starting_position=third["offset"], **where) == found[3:]
        with_it = await reader.reads(
            len(mine) - 2, starting_position=third["sequence"], starting_position_inclusive=True, **where
        )
        assert with_it == found[2:]
        last = max(one["enqueued"] for one in found)
        while hub.clock() <= last + 0.002:
            await asyncio.sleep(0.002)
        await store(hub, 5, first=10)
        since = f"starting_position=datetime.utcfromtimestamp({last}), partition_id='{partition}'"
        await reader.does(f"readings.update(r=Reading(1, {since}))")
        later = (await reader.does("readings['r'].wait()"))["found"]
        assert int(later[0]["properties"]["number"]) >= 10


async def test_checkpoints(events):
    async with events() as (hub, reader):
        await store(hub, 40)
        await reader.does("readings.update(r=Reading(40, saves=True, store=checkpoints))")
        assert len((await reader.does("readings['r'].wait()"))["found"]) == 40
        await store(hub, 10, first=40)
        await reader.does("readings.update(r=Reading(10, saves=True, store=checkpoints))")
        again = (await reader.does("readings['r'].wait()"))["found"]
        assert sorted(int(one["properties"]["number"]) for one in again) == list(range(40, 50))


async def test_properties_of_hub_and_partitions(events):
    async with events() as (hub, reader):
        about = await reader.does("about()")
        assert about["eventhub_name"] == "hub1" and about["partition_ids"] == ["0", "1", "2", "3"]
        empty = await reader.does("about('0')")
        assert empty["is_empty"] is True and empty["last_enqueued_sequence_number"] == -1
        await store(hub, 10)
        found = await reader.reads(10)
        for number in {one["partition"] for one in found}:
            of_partition = [one["sequence"] for one in found if one["partition"] == number]
            known = await reader.does(f"about('{number}')")
            assert known["beginning_sequence_number"] == of_partition[0] and not known["is_empty"]
            assert known["last_enqueued_sequence_number"] == of_partition[-1]
            assert known["last_enqueued_offset"] == str(of_partition[-1])


async def test_the_last_message_of_the_partition_comes_along_for_who_asks(events):
    async with events() as (hub, reader):
        await store(hub, 10)
        partition = partition_of("d1")
        last = max(n for n in range(10) if partition_of(DEVICES[n % 5]) == partition)
        tracking = f"Reading(1, partition_id='{partition}', track_last_enqueued_event_properties=True)"
        await reader.does(f"readings.update(r={tracking})")
        await reader.does("readings['r'].wait()")
        assert (await reader.does("readings['r'].last"))["sequence_number"] == last + 1


async def test_the_higher_owner_level_reads_alone(events):
    async with events() as (hub, reader):
        await store(hub, 5)
        partition = f"partition_id='{partition_of('d1')}'"
        await reader.does(f"readings.update(low=Reading(1000, {partition}, owner_level=1))")
        async with asyncio.timeout(120):
            while not hub.partitions.reader_count():
                await asyncio.sleep(0.02)
        high = await reader.does(f"read(1, {partition}, owner_level=2)")
        assert len(high["found"]) == 1
        low = await reader.does("readings['low'].wait()")
        assert "stolen" in str(low["errors"]) or "epoch 2" in str(low["errors"])
        await reader.does(f"readings.update(high=Reading(1000, {partition}, owner_level=5))")
        async with asyncio.timeout(120):
            while not hub.partitions.reader_count():
                await asyncio.sleep(0.02)
        for keys in ("owner_level=4", "owner_level=None"):
            refused = await reader.does(f"read(1, {partition}, {keys})")
            assert "higher epoch 5" in str(refused["errors"])


async def test_a_large_message_comes_in_several_frames(events):
    async with events() as (hub, reader):
        await store(hub, 2, body=b"x" * 250_000)
        found = await reader.reads(2)
        assert [one["body"] == "x" * 250_000 for one in found] == [True, True]


async def test_a_wrong_key_reads_nothing(events):
    async with events("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=") as (hub, reader):
        await store(hub, 5)
        answer = await reader.does("read(1)")
        assert not answer["found"] and "AuthenticationError" in str(answer["errors"])
        assert "AuthenticationError" in str(await reader.fails("about()"))
