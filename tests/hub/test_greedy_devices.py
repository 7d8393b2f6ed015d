"""Devices that ask for much in few bytes: others are heard, memory is bounded, nothing is lost or turned round."""

import asyncio
import os
import socket
import sqlite3

from host_tools.hub.mqtt import connection
from tests.hub.hub_bench import EVENTS, running, until
from tests.hub.raw_device import RawDevice, packet, publish
from tests.hub.raw_topics import publish_0, resumed, subscribe_all, take_event


async def twin_device(hub, **keys):
    device = await RawDevice.connected(hub, "greedy", **keys)
    device.send(subscribe_all("$iothub/twin/res/#"))
    await device.receive()
    return device


def test_others_are_heard_while_one_asks_for_its_twin_again_and_again(run, tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "_TURN_S", 0.0)

    async def scenario():
        async with running(tmp_path) as hub:
            greedy, good = await twin_device(hub), await RawDevice.connected(hub, "good")
            answers = []

            async def listen():
                while len(answers) < 600:
                    answers.append(take_event(await greedy.receive())[0])

            listening = asyncio.create_task(listen())
            greedy.send(b"".join(publish_0(f"$iothub/twin/GET/?$rid={number}") for number in range(600)))
            good.send(b"\xc0\x00")  # not a message: that would be answered when the disk has it, which may take longer
            assert await good.receive() == (0xD0, b"")
            assert len(answers) < 600, "everybody had to wait for one"
            await listening
            assert answers == [f"$iothub/twin/res/200/?$rid={number}" for number in range(600)]

    run(scenario())


def test_changes_of_a_twin_wait_in_bounded_memory_for_the_disk(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            greedy = await twin_device(hub)
            blocker = sqlite3.connect(tmp_path / "hub.sqlite3", isolation_level=None)
            blocker.execute("BEGIN IMMEDIATE")  # a slow disk
            topic = "$iothub/twin/PATCH/properties/reported/?$rid="
            greedy.send(b"".join(publish_0(f"{topic}{number}", b'{"n": %d}' % number) for number in range(300)))
            server_side = hub.presence.get("greedy")
            await until(lambda: not server_side._is_reading)
            await asyncio.sleep(0.1)
            assert 0 < hub.twins.get("greedy").reported.version <= 2 + connection.UNCOMMITTED_BYTES_MAX // (64 * 1024)
            blocker.execute("ROLLBACK")
            blocker.close()
            for number in range(300):
                wanted = f"$iothub/twin/res/204/?$rid={number}&$version={number + 2}"
                assert take_event(await greedy.receive()) == (wanted, b"")
            assert server_side._uncommitted == server_side._uncommitted_bytes == 0

    run(scenario())


def test_subscriptions_that_are_kept_wait_in_bounded_memory_too(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            greedy, _ = await resumed(hub, "greedy")
            blocker = sqlite3.connect(tmp_path / "hub.sqlite3", isolation_level=None)
            blocker.execute("BEGIN IMMEDIATE")
            count = 2 * connection.UNCOMMITTED_MAX
            greedy.send(b"".join(subscribe_all("$iothub/twin/res/#", packet_id=1 + n) for n in range(count)))
            server_side = hub.presence.get("greedy")
            await until(lambda: not server_side._is_reading)
            blocker.execute("ROLLBACK")
            blocker.close()
            for number in range(count):
                assert await greedy.receive() == (0x90, (1 + number).to_bytes(2, "big") + b"\x01")
            assert server_side._uncommitted == server_side._uncommitted_bytes == 0

    run(scenario())


def test_the_end_of_a_connection_comes_behind_what_was_said_before_it(run, tmp_path, monkeypatch):
    """DISCONNECT among it: the device left no will, and its last message is stored."""
    monkeypatch.setattr(connection, "_TURN_S", 0.0)

    async def scenario():
        async with running(tmp_path) as hub:
            greedy = await twin_device(hub, will=("devices/greedy/messages/events/", "the will"))
            asked = b"".join(publish_0(f"$iothub/twin/GET/?$rid={number}") for number in range(200))
            last = publish(EVENTS.replace("dev1", "greedy"), b"the last", 1)
            greedy.send(asked + last + packet(0xE0, b""))
            with socket.socket(fileno=os.dup(greedy.writer.get_extra_info("socket").fileno())) as its:
                its.shutdown(socket.SHUT_WR)  # it still takes the answers, and no reset overtakes anything
            await until(lambda: not hub.is_connected("greedy"))
            await until(lambda: list(hub.messages()))
            await asyncio.sleep(0.1)
            assert [message.body for message in hub.messages()] == [b"the last"]

    run(scenario())
