"""The window over a command queue, without a network: order, locks, repeats and expiry."""

import asyncio

from host_tools.hub.devices.command_queue import CommandQueue, QueuedMessage
from host_tools.hub.faults import Faults
from host_tools.hub.mqtt.delivery import IN_FLIGHT_MAX, Delivery
from host_tools.hub.store import database
from host_tools.hub.store.writer import Writer
from tests.hub.raw_device import take_publish


class Wire:
    """Keeps what is written, and runs what is to come later when told."""

    def __init__(self):
        self.is_writable = True
        self.written = []
        self.later = []

    def write(self, data):
        head = 2 if data[1] < 0x80 else 3
        self.written.append(take_publish((data[0], data[head:])))

    def call_later(self, seconds, callback):
        self.later.append(callback)

    def take(self):
        """Return (body, packet id, duplicate) of each new PUBLISH."""
        taken, self.written = [written[1:] for written in self.written], []
        return taken


class World:
    def __init__(self, directory):
        self.writer = Writer(database.open_for_writing(directory), asyncio.get_running_loop(), self.failed)
        self.database = database.open_for_writing(directory)
        self.queue = CommandQueue("dev1", self.database, self.writer)
        self.faults = Faults()
        self.wire = Wire()
        self.now_ms = 0

    def failed(self, error):
        raise error

    def delivery(self, qos=1):
        delivery = Delivery("dev1", self.queue, self.wire, self.faults, lambda: self.now_ms)
        delivery.subscribe(qos)
        return delivery

    async def add(self, *bodies, expiry_ms=None):
        for body in bodies:
            message = QueuedMessage("m", {"message-id": "m", "to": "x"}, {}, body, expiry_ms)
            await self.queue.add(message, 0, lambda: None)


def in_a_world(scenario):
    def test(run, tmp_path):
        async def whole():
            world = World(tmp_path)
            try:
                await scenario(world)
            finally:
                await world.writer.close()
                world.database.close()

        run(whole())

    test.__doc__ = scenario.__doc__
    return test


@in_a_world
async def test_the_window_is_bounded_and_keeps_the_order(world):
    bodies = [b"%d" % index for index in range(IN_FLIGHT_MAX + 4)]
    await world.add(*bodies)
    delivery = world.delivery()
    delivery.deliver()
    first = world.wire.take()
    assert [body for body, _, _ in first] == bodies[:IN_FLIGHT_MAX]
    for index in range(4):
        delivery.acknowledged(first[index][1])
    assert [body for body, _, _ in world.wire.take()] == bodies[IN_FLIGHT_MAX:]
    assert len(world.queue) == IN_FLIGHT_MAX


@in_a_world
async def test_a_repeat_has_the_packet_id_of_the_first(world):
    await world.add(b"a")
    delivery = world.delivery()
    delivery.deliver()
    ((_, packet_id, _),) = world.wire.take()
    world.faults.c2d_puback_loss = 1.0
    delivery.acknowledged(packet_id)
    assert world.wire.take() == [] and len(world.queue) == 1
    world.wire.later.pop()()
    assert world.wire.take() == [(b"a", packet_id, True)]
    assert world.faults.redelivered == 1


@in_a_world
async def test_a_repeat_that_was_overtaken_by_a_second_acknowledgement_stays_away(world):
    await world.add(b"a")
    delivery = world.delivery()
    delivery.deliver()
    ((_, packet_id, _),) = world.wire.take()
    world.faults.c2d_puback_loss = 1.0
    delivery.acknowledged(packet_id)
    world.faults.c2d_puback_loss = 0.0
    delivery.acknowledged(packet_id)
    world.wire.later.pop()()
    assert world.wire.take() == [] and len(world.queue) == 0


@in_a_world
async def test_a_command_that_expires_in_the_devices_hands_may_still_be_completed(world):
    await world.add(b"a", b"b", expiry_ms=100)
    delivery = world.delivery()
    delivery.deliver()
    world.now_ms = 200
    delivery.deliver()
    for _, packet_id, _ in world.wire.take():
        delivery.acknowledged(packet_id)
        delivery.acknowledged(packet_id)
    assert len(world.queue) == 0


@in_a_world
async def test_an_expired_command_does_not_come_again_after_its_lock(world):
    await world.add(b"a", expiry_ms=100)
    delivery = world.delivery()
    delivery.deliver()
    assert len(world.wire.take()) == 1
    world.now_ms = 200
    delivery.end()
    world.delivery().deliver()
    assert world.wire.take() == [] and len(world.queue) == 0


@in_a_world
async def test_what_a_connection_left_goes_out_on_the_next_in_order(world):
    await world.add(b"a", b"b", b"c")
    delivery = world.delivery()
    delivery.deliver()
    delivery.acknowledged(world.wire.take()[1][1])
    delivery.end()
    await world.add(b"d")
    world.delivery().deliver()
    assert [(body, again) for body, _, again in world.wire.take()] == [(b"a", True), (b"c", True), (b"d", False)]


@in_a_world
async def test_a_peer_that_does_not_read_is_sent_nothing_more(world):
    await world.add(b"a", b"b")
    delivery = world.delivery()
    world.wire.is_writable = False
    delivery.deliver()
    assert world.wire.take() == []
    world.wire.is_writable = True
    delivery.deliver()
    assert [body for body, _, _ in world.wire.take()] == [b"a", b"b"]


@in_a_world
async def test_a_command_whose_sender_gave_up_waiting_is_delivered_all_the_same(world):
    added = []
    message = QueuedMessage("m", {"message-id": "m", "to": "x"}, {}, b"a", None)
    world.queue.add(message, 0, lambda: added.append(1)).cancel()
    while not added:
        await asyncio.sleep(0.01)
    world.delivery().deliver()
    assert [body for body, _, _ in world.wire.take()] == [b"a"]
