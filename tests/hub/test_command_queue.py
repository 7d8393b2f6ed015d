"""Commands of the hub to its devices: order, acknowledgement, redelivery, expiry, and the end of the hub."""

import subprocess
import sys
import time

import pytest

from host_tools.errors import UserError
from host_tools.hub.devices.command_queue import DEPTH_MAX
from tests.hub.hub_bench import COMMANDS, running, until
from tests.hub.raw_device import RawDevice, puback, subscribe, take_publish


def test_commands_come_in_order_and_go_when_acknowledged(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await RawDevice.connected(hub, "dev1")
            for index in range(3):
                await hub.send("dev1", b"%d" % index, {"kind": "a b"}, message_id=f"m{index}")
            device.send(subscribe(COMMANDS + "#"))
            assert await device.receive() == (0x90, b"\x00\x01\x01")
            for index in range(3):
                topic, body, packet_id, duplicate = take_publish(await device.receive())
                assert (body, duplicate) == (b"%d" % index, False)
                assert f"%24.mid=m{index}&" in topic and topic.endswith("kind=a%20b")
                assert hub.pending("dev1") == 3 - index
                device.send(puback(packet_id))
                await until(lambda left=2 - index: hub.pending("dev1") == left)

    run(scenario())


def test_an_unacknowledged_command_comes_again_after_reconnect_and_restart(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            await hub.send("dev1" if hub.devices.create("dev1") else "", b"once", {}, message_id="m1")
            device = await RawDevice.connected(hub, "dev1")
            device.send(subscribe(COMMANDS + "#"))
            await device.receive()
            assert take_publish(await device.receive())[3] is False
            device.close()
        async with running(tmp_path) as hub:
            assert hub.pending("dev1") == 1
            device = await RawDevice.connected(hub, "dev1")
            device.send(subscribe(COMMANDS + "#"))
            await device.receive()
            _, body, packet_id, duplicate = take_publish(await device.receive())
            assert (body, duplicate) == (b"once", True)
            device.send(puback(packet_id))
            await until(lambda: hub.pending("dev1") == 0)

    run(scenario())


def test_a_lost_acknowledgement_brings_the_command_again(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            hub.faults.c2d_puback_loss = 1.0
            hub.faults.redeliver_s = 0.05
            device = await RawDevice.connected(hub, "dev1")
            device.send(subscribe(COMMANDS + "#"))
            await device.receive()
            await hub.send("dev1", b"x", {}, message_id="m1")
            for expected in (False, True, True):
                _, _, packet_id, duplicate = take_publish(await device.receive())
                assert duplicate is expected
                if hub.redelivered == 2:
                    hub.faults.c2d_puback_loss = 0.0
                device.send(puback(packet_id))
            await until(lambda: hub.pending("dev1") == 0)
            assert hub.redelivered == 2

    run(scenario())


async def fill(hub, device_id, expiry_unix_s):
    """Make a device and give it all the commands that may wait for it."""
    hub.devices.create(device_id)
    for _ in range(DEPTH_MAX):
        await hub.send(device_id, b"x", {}, expiry_unix_s=expiry_unix_s)


def test_the_queue_holds_fifty_and_expired_commands_leave_it(run, tmp_path):
    async def scenario():
        now = [time.time()]
        async with running(tmp_path, clock=lambda: now[0]) as hub:
            await fill(hub, "dev1", now[0] + 60)
            with pytest.raises(UserError, match="50 commands"):
                await hub.send("dev1", b"x", {})
            with pytest.raises(UserError, match="stranger"):
                await hub.send("stranger", b"x", {})
            now[0] += 61
            device = await RawDevice.connected(hub, "dev1")
            device.send(subscribe(COMMANDS + "#"))
            assert (await device.receive())[0] == 0x90
            await until(lambda: hub.pending("dev1") == 0)

    run(scenario())


def test_a_command_that_expires_unacknowledged_does_not_break_its_connection(run, tmp_path):
    async def scenario():
        now = [time.time()]
        async with running(tmp_path, clock=lambda: now[0]) as hub:
            device = await RawDevice.connected(hub, "dev1")
            device.send(subscribe(COMMANDS + "#"))
            await device.receive()
            await hub.send("dev1", b"slow", {}, expiry_unix_s=now[0] + 60)
            packet_id = take_publish(await device.receive())[2]
            now[0] += 61
            await hub.send("dev1", b"next", {})
            assert take_publish(await device.receive())[1] == b"next"
            device.send(puback(packet_id) + b"\xc0\x00")
            assert await device.receive() == (0xD0, b"")

    run(scenario())


def test_expired_commands_make_room_while_the_device_is_away(run, tmp_path):
    async def scenario():
        now = [time.time()]
        async with running(tmp_path, clock=lambda: now[0]) as hub:
            await fill(hub, "dev1", now[0] + 60)
            now[0] += 61
            await hub.send("dev1", b"fresh", {})
            assert hub.pending("dev1") == 1

    run(scenario())


def test_a_command_that_no_packet_can_carry_is_refused_when_it_is_sent(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            hub.devices.create("dev1")
            for body, properties in ((bytes(65_537), {}), (b"", {"k": "ü" * 20_000}), (b"", {"k": "\udcff"})):
                with pytest.raises(UserError):
                    await hub.send("dev1", body, properties)
            assert hub.pending("dev1") == 0

    run(scenario())


SENDING_HUB = """
import asyncio, sys
from pathlib import Path
from host_tools.hub import Hub
async def main():
    hub = Hub(Path(sys.argv[1]))
    hub.devices.create("dev1")
    await hub.start()
    for index in range(50):
        await hub.send("dev1", b"%d" % index, {})
        print(index, flush=True)
asyncio.run(main())
"""


def test_kill_9_loses_no_command(run, tmp_path):
    """Goal: every command whose `send` returned is delivered by the next hub, in order."""

    async def delivered(count):
        async with running(tmp_path) as hub:
            device = await RawDevice.connected(hub, "dev1")
            device.send(subscribe(COMMANDS + "#"))
            await device.receive()
            bodies = []
            while len(bodies) < count:
                _, body, packet_id, _ = take_publish(await device.receive())
                bodies.append(int(body))
                device.send(puback(packet_id))
            return bodies

    process = subprocess.Popen([sys.executable, "-c", SENDING_HUB, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        for _ in range(20):
            process.stdout.readline()
        process.kill()
        sent = 20 + len(process.stdout.readlines())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert run(delivered(sent)) == list(range(sent))
