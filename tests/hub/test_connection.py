"""Back-pressure and time on one connection, with a transport that only notes what it is told."""

import asyncio

import pytest

from host_tools.hub import Hub
from host_tools.hub.mqtt import connection
from host_tools.hub.mqtt.connection import Connection
from tests.hub.raw_device import connect, publish, token

EVENTS = "devices/dev1/messages/events/"


class Transport:
    def __init__(self):
        self.written = b""
        self.is_reading = True
        self.is_closed = False

    def get_extra_info(self, name):
        return None if name == "ssl_object" else "test"

    def write(self, data):
        self.written += data

    def pause_reading(self):
        assert self.is_reading and not self.is_closed
        self.is_reading = False

    def resume_reading(self):
        assert not self.is_reading and not self.is_closed
        self.is_reading = True

    def close(self):
        self.is_closed = True


def with_a_device(scenario, **keys):
    """Return a test that runs `scenario(hub, connection, transport)` after a CONNECT was accepted."""

    def test(run, tmp_path):
        async def whole():
            hub = Hub(tmp_path)
            await hub.start()
            try:
                key = hub.devices.create("dev1").primary_key
                link, transport = Connection(hub), Transport()
                link.connection_made(transport)
                link.data_received(connect("dev1", token(key, "localhost/devices/dev1"), **keys))
                await asyncio.sleep(0)
                assert transport.written == b"\x20\x02\x00\x00"
                transport.written = b""
                await scenario(hub, link, transport)
            finally:
                await hub.stop()

        run(whole())

    test.__doc__ = scenario.__doc__
    return test


async def until(condition):
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.01)


@with_a_device
async def test_a_peer_that_does_not_read_is_not_read_until_it_does(hub, link, transport):
    link.pause_writing()
    assert not transport.is_reading
    link.data_received(publish(EVENTS, b"x", 1))  # was on its way already
    await asyncio.sleep(0.1)
    assert not transport.is_reading and transport.written == b""
    link.resume_writing()
    await until(lambda: transport.is_reading)
    await until(lambda: transport.written == b"\x40\x02\x00\x01")


@with_a_device
async def test_many_small_publishes_wait_for_the_disk(hub, link, transport):
    for index in range(connection.UNCOMMITTED_MAX):
        assert transport.is_reading
        link.data_received(publish(EVENTS, b"x", index + 1))
    assert not transport.is_reading
    await until(lambda: transport.is_reading)
    await until(lambda: len(transport.written) == 4 * connection.UNCOMMITTED_MAX)


@with_a_device
async def test_a_few_large_publishes_wait_for_the_disk(hub, link, transport):
    body = bytes(200_000)
    for index in range(6):
        assert transport.is_reading
        link.data_received(publish(EVENTS, body, index + 1))
    assert not transport.is_reading
    await until(lambda: transport.is_reading)


@with_a_device
async def test_answers_leave_together_and_within_a_burst(hub, link, transport):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "_TURN_S", 60.0)
        link.data_received(b"\xc0\x00" * 10)
        assert transport.written == b""
        await asyncio.sleep(0)
        assert transport.written == b"\xd0\x00" * 10
        link.data_received(b"\xc0\x00" * 40_000)
    assert len(transport.written) > 65_536, "a long burst must reach the transport, which tells when it is full"
    link.close("enough")
    assert transport.written == b"\xd0\x00" * 40_010


@with_a_device
async def test_nothing_is_written_or_resumed_after_the_end(hub, link, transport):
    link.data_received(publish(EVENTS, b"x", 1))
    link.pause_writing()
    link.close("now")
    link.resume_writing()
    link.connection_lost(None)
    await until(lambda: len(list(hub.messages())) == 1)
    await asyncio.sleep(0.05)
    assert transport.written == b"" and transport.is_closed and not hub.is_connected("dev1")


@pytest.mark.parametrize("does_the_disk_hang", [False, True])
def test_silence_counts_only_while_the_peer_could_be_heard(does_the_disk_hang, run, tmp_path):
    async def scenario(hub, link, transport):
        if does_the_disk_hang:
            link.hold(connection.UNCOMMITTED_BYTES_MAX)
        else:
            link.pause_writing()
        assert not transport.is_reading
        await asyncio.sleep(1.8)
        assert transport.is_closed is not does_the_disk_hang

    with_a_device(scenario, keep_alive=1)(run, tmp_path)
