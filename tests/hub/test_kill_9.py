"""SIGKILL at any moment, again and again: nothing that was acknowledged is ever lost.

Goal: acknowledged telemetry is in the store; a command whose send returned reaches the device, in order, and its
feedback is told; twins are never older than what was answered. Method: a hub in a process of its own, killed by seed
while a device connects, or after so many acknowledgements; the device, of raw packets, keeps its session and sends
again what was not acknowledged.
"""

import asyncio
import contextlib
import json
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from host_tools.hub import Hub, read_messages
from tests.hub.hub_bench import EVENTS
from tests.hub.raw_device import puback, publish, take_publish
from tests.hub.raw_topics import publish_0, resumed, subscribe_all, take_event

ROOT = Path(__file__).parents[2]


class World:
    """What the outside knows: what was promised, and what came."""

    def __init__(self, directory, seed):
        self.directory = directory
        self.random = random.Random(seed)
        self.moments = random.Random(seed)  # of its own: how often the other one is asked depends on the machine
        self.next_event = 1
        self.acknowledged = set()
        self.next_command = 0
        self.promised = []
        self.received = []
        self.desired = 0
        self.reported_sent = 0
        self.reported = 0
        self.rounds_with_loss = 0

    async def round(self):
        """One life of the hub."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.hub.killed_hub",
            str(self.directory),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            _, port = json.loads(await process.stdout.readline())
            async with asyncio.TaskGroup() as tasks:
                hub = Hub(self.directory)  # for its certificates and keys; it does not listen
                hub.port = port
                tasks.create_task(self._operator(process))
                tasks.create_task(self._notes(process))
                tasks.create_task(self._device(hub))
                await self._moment()
                process.send_signal(signal.SIGKILL)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _moment(self):
        """Wait for the moment of the kill, one in five while the device may still be connecting.

        The others are counted in what has happened, since a busy machine needs longer for it.
        """
        if self.moments.random() < 0.2:
            await asyncio.sleep(self.moments.uniform(0, 0.3))
            return
        events = len(self.acknowledged) + self.moments.randint(1, 300)
        commands = len(self.promised) + self.moments.randint(1, 12)
        reported = self.reported + self.moments.randint(0, 4)
        async with asyncio.timeout(300):
            while len(self.acknowledged) < events or len(self.promised) < commands or self.reported < reported:
                await asyncio.sleep(0.001)

    async def _operator(self, process):
        desired = self.desired
        with contextlib.suppress(ConnectionError):
            while process.returncode is None:
                desired += 1
                process.stdin.write(b"command %d\ndesired %d\n" % (self.next_command, desired))
                self.next_command += 1
                await process.stdin.drain()
                await asyncio.sleep(self.random.uniform(0, 0.01))

    async def _notes(self, process):
        while line := await process.stdout.readline():
            with contextlib.suppress(ValueError):  # a line that the kill has cut
                verb, number = json.loads(line)
                if verb == "command":
                    self.promised.append(number)
                else:
                    self.desired = max(self.desired, number)

    async def _device(self, hub):
        try:
            device, _ = await resumed(hub, "dev1")
        except (OSError, TypeError):  # the hub was killed before it had answered
            return
        device.send(subscribe_all("devices/dev1/messages/devicebound/#", "$iothub/twin/res/#"))
        self.known = self.desired, self.reported  # what is confirmed from here on may come after the answer
        device.send(publish_0("$iothub/twin/GET/?$rid=get"))
        sender = asyncio.create_task(self._telemetry(device))
        while (received := await device.receive()) is not None:
            first, body = received
            if first == 0x40:
                self.acknowledged.add(self.first_event + int.from_bytes(body, "big") - 1)
            elif first == 0x30:
                self._twin(*take_event(received))
            elif first & 0xF0 == 0x30:
                _, number, packet_id, _ = take_publish(received)
                self.received.append(int(number))
                if self.random.random() < 0.7:
                    device.send(puback(packet_id))
        sender.cancel()

    async def _telemetry(self, device):
        self.first_event = self.next_event
        while self.next_event - self.first_event < 60_000:
            number = self.next_event
            device.send(publish(EVENTS, b"%d" % number, number - self.first_event + 1))
            self.next_event += 1
            if number % 20 == 0:
                self.reported_sent += 1
                body = b'{"n": %d}' % self.reported_sent
                device.send(publish_0(f"$iothub/twin/PATCH/properties/reported/?$rid={self.reported_sent}", body))
                await asyncio.sleep(0.001)

    def _twin(self, topic, body):
        if topic.startswith("$iothub/twin/res/204/"):
            self.reported = max(self.reported, int(topic.partition("$rid=")[2].partition("&")[0]))
        elif "$rid=get" in topic:
            twin = json.loads(body)
            assert twin["desired"].get("n", 0) >= self.known[0]
            assert twin["reported"].get("n", 0) >= self.known[1]

    async def drained(self):
        """Let a last hub deliver everything that waits; return the ids that feedback tells of."""
        hub = Hub(self.directory)
        await hub.start()
        try:
            device, _ = await resumed(hub, "dev1")
            device.send(subscribe_all("devices/dev1/messages/devicebound/#"))
            taking = asyncio.create_task(self._take_all(device))
            deadline = time.monotonic() + 120
            told = set()
            # What became of the last one is told when that is on the disk.
            while (hub.pending("dev1") or not set(self.promised) <= told) and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
                told, after = set(), 0
                while (batch := hub.feedback.batch(after)) is not None:
                    after = batch.through
                    told |= {int(record["originalMessageId"]) for record in batch.records}
            taking.cancel()
            return told
        finally:
            await hub.stop()

    async def _take_all(self, device):
        while (received := await device.receive(timeout=600)) is not None:
            if received[0] & 0xF2 == 0x32:
                _, number, packet_id, _ = take_publish(received)
                self.received.append(int(number))
                device.send(puback(packet_id))


async def live(directory, seed, rounds):
    world = World(directory, seed)
    for _ in range(rounds):
        await world.round()
    told = await world.drained()
    stored = {int(message.body) for message in read_messages(directory)}
    assert world.acknowledged <= stored
    assert set(world.promised) <= set(world.received), "a command was lost"
    assert set(world.promised) <= told, "nobody was told what became of a command"
    first_seen = list(dict.fromkeys(world.received))
    assert first_seen == sorted(first_seen)
    assert len(world.acknowledged) > 100 and len(world.promised) > 20 and world.reported > 5, "too little happened"


def test_a_few_kills_lose_nothing(tmp_path):
    asyncio.run(live(tmp_path, seed=7, rounds=8))


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(100, 110))
def test_many_kills_lose_nothing(tmp_path, seed):
    asyncio.run(live(tmp_path, seed, rounds=20))
