"""All connections together: what they may hold is bounded, the worst go, and the others notice nothing.

Goal: neither slow large packets nor readers that stall fill the memory, however many they are. Method: a hub with a
small budget, its own buffers looked at; and the choice of the worst, with connections that are made of numbers.
"""

import asyncio
import logging
import re
import socket
import sqlite3

from host_tools.hub import budget, hub
from host_tools.hub.budget import Budget
from tests.hub.hub_bench import running, until
from tests.hub.raw_device import RawDevice, packet, publish, text
from tests.hub.raw_topics import publish_0, subscribe_all

MANY = 24
MIB = 1 << 20


class Transport:
    is_aborted = False

    def abort(self):
        self.is_aborted = True


class Holder:
    """A connection of which only numbers are known."""

    def __init__(self, size):
        self.size = size
        self.transport = Transport()
        self.closed = None

    def held_bytes(self):
        return self.size

    def close(self, reason, level=logging.INFO):
        self.closed = reason


def looked_at(moments, holders, bytes_max, monkeypatch):
    """Look at the holders at these moments (seconds); each is (moment, sizes)."""
    its = Budget(lambda: [holder for holder in holders if holder.closed is None], bytes_max)
    for moment, sizes in moments:
        monkeypatch.setattr(budget.time, "monotonic", lambda moment=moment: moment)
        for holder, size in zip(holders, sizes, strict=True):
            holder.size = size
        total = its.look()
        assert total == sum(holder.size for holder in holders if holder.closed is None)
        assert total <= bytes_max
    return [holder.closed is not None for holder in holders]


def test_below_the_limit_nobody_goes(monkeypatch):
    holders = [Holder(0) for _ in range(3)]
    assert looked_at([(0, (30, 30, 40)), (9, (30, 30, 40))], holders, 100, monkeypatch) == [False] * 3


def test_the_worst_goes_by_bytes_and_seconds(monkeypatch):
    """A large packet that has just begun is worth less than a small one that has been coming for a minute."""
    holders = [Holder(0) for _ in range(3)]
    moments = [(0, (20, 0, 10)), (60, (20, 0, 10)), (61, (20, 60, 10)), (61.2, (25, 70, 10))]
    assert looked_at(moments, holders, 100, monkeypatch) == [True, False, False]
    assert holders[0].transport.is_aborted and not holders[1].transport.is_aborted


def test_who_gets_on_begins_anew(monkeypatch):
    holders = [Holder(0) for _ in range(2)]
    moments = [(0, (40, 40)), (50, (39, 40)), (100, (38, 40)), (101, (60, 45))]
    assert looked_at(moments, holders, 100, monkeypatch) == [False, True]


async def _told(caplog, count):
    await until(lambda: len(re.findall("all connections together hold", caplog.text)) >= count, 60)


async def _publishes(device, numbers):
    for number in numbers:
        device.send(publish("devices/good/messages/events/", b"x", number))
        assert await device.receive() == (0x40, number.to_bytes(2, "big"))


def test_slow_large_packets_of_many_are_bounded_and_others_go_on(run, tmp_path, caplog):
    async def scenario():
        async with running(tmp_path) as its:
            its.budget.bytes_max = 2 * MIB
            good = await RawDevice.connected(its, "good")
            slow = [await RawDevice.connected(its, f"slow{number}") for number in range(MANY)]
            whole = packet(0x32, text("devices/slow/messages/events/") + bytes(2) + bytes(250_000))
            for device in slow:
                device.send(whole[:200_000])
            await _publishes(good, range(1, 50))
            await _told(caplog, 10)
            assert its.budget.look() <= its.budget.bytes_max
            held = sum(one.held_bytes() for one in its.connections)
            assert MIB // 2 < held <= its.budget.bytes_max, "as few as had to go have gone"
            assert "good from" not in caplog.text and its.is_connected("good")
            await _publishes(good, range(50, 60))

    run(scenario())


def test_readers_that_stall_are_bounded_and_others_go_on(run, tmp_path, caplog):
    async def scenario():
        async with running(tmp_path) as its:
            its.budget.bytes_max = MIB
            good = await RawDevice.connected(its, "good")
            stalled = {f"stalled{n}": await RawDevice.connected(its, f"stalled{n}") for n in range(MANY)}
            for name, device in stalled.items():
                device.send(subscribe_all("$iothub/twin/res/#"))
                await device.receive()
                await its.change_twin(name, None, {"long": "x" * 4000, "longer": "y" * 4000}, False)
                device.reader._transport.pause_reading()
                for end, option in (
                    (its.presence.get(name).transport, socket.SO_SNDBUF),
                    (device.writer, socket.SO_RCVBUF),
                ):
                    end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, 4096)
                device.send(b"".join(publish_0(f"$iothub/twin/GET/?$rid={n}") for n in range(400)))
            await _publishes(good, range(1, 50))
            await _told(caplog, 5)
            assert its.budget.look() <= its.budget.bytes_max
            assert its.is_connected("good") and "good from" not in caplog.text
            await _publishes(good, range(50, 60))

    run(scenario())


def test_what_waits_for_the_disk_is_bounded_for_all_together(run, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "UNSTORED_BYTES_MAX", MIB)

    async def scenario():
        async with running(tmp_path) as its:
            devices = [await RawDevice.connected(its, f"dev{number}") for number in range(12)]
            blocker = sqlite3.connect(tmp_path / "hub.sqlite3", isolation_level=None)
            blocker.execute("BEGIN IMMEDIATE")  # a slow disk
            count = 20
            for number, device in enumerate(devices):
                topic = f"devices/dev{number}/messages/events/"
                device.send(b"".join(publish(topic, bytes(40_000), 1 + n) for n in range(count)))
            await until(lambda: its.store_fullness >= 1, 30)
            await asyncio.sleep(0.2)
            assert its._writer.pending_bytes < MIB + len(devices) * 150_000, "one turn of each, and no more"
            blocker.execute("ROLLBACK")
            blocker.close()
            for device in devices:
                for number in range(count):
                    assert await device.receive() == (0x40, (1 + number).to_bytes(2, "big"))
            assert its._writer.pending_bytes == 0 and not its._waiting_for_the_disk

    run(scenario())
