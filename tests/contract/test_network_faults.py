"""What networks do to TLS on its way to the local hub and to Mosquitto: nothing is lost, and nothing spins."""

import asyncio
import base64
import contextlib

import pytest
from paho.mqtt.client import CallbackAPIVersion, Client

from host_tools.hub import Hub
from tests.contract.fault_proxy import BlackHole, Cut, Delay, Drip, FaultProxy, Tap
from tests.contract.links import FRAMED_BOARDS, LINKS, all_of, numbers


class HubServer:
    """The local hub. asked(name): what the device of that name must know."""

    def __init__(self, directory):
        self.hub = Hub(directory)

    async def start(self):
        await self.hub.start()

    async def stop(self):
        await self.hub.stop()

    def port(self, name):
        return self.hub.port

    def asked(self, name):
        key = self.hub.devices.create("dev-" + name).primary_key
        ca = base64.b64encode(self.hub.ca_der).decode()
        return {"dialect": "azure", "key": key, "ca": ca, "path": "/$iothub/websocket"}

    async def arrived(self, name, count):
        """Return the numbers of this device's records, in order of arrival."""
        return numbers(message.body for message in self.hub.messages("dev-" + name))


class MosquittoServer:
    """A real broker, watched through a subscriber of its own."""

    def __init__(self, broker, authority):
        self._broker = broker
        self._ca = authority.ca
        self._messages = []
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda client, userdata, message: self._messages.append(message)
        self._subscribed = asyncio.Event()

    async def start(self):
        loop = asyncio.get_running_loop()
        self._client.on_connect = lambda client, *_: client.subscribe("+/events/#", 1)
        self._client.on_subscribe = lambda *_: loop.call_soon_threadsafe(self._subscribed.set)
        await asyncio.to_thread(self._client.connect, "127.0.0.1", self._broker.plain)
        self._client.loop_start()
        await asyncio.wait_for(self._subscribed.wait(), 120)

    async def stop(self):
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def port(self, name):
        return self._broker.websockets if name.endswith("websockets") else self._broker.tls

    def asked(self, name):
        return {"dialect": "plain", "ca": self._ca, "path": "/mqtt"}

    async def arrived(self, name, count):
        """As above; Mosquitto acknowledges before it has passed on."""
        for _ in range(6000):
            found = numbers(m.payload for m in self._messages if m.topic.startswith(f"dev-{name}/events/"))
            if len(set(found)) >= count:
                break
            await asyncio.sleep(0.02)
        return found


@pytest.fixture(params=["hub", "mosquitto"])
async def server(request, tmp_path):
    if request.param == "hub":
        server = HubServer(tmp_path / "hub")
    else:
        server = MosquittoServer(request.getfixturevalue("broker"), request.getfixturevalue("authority"))
    await server.start()
    yield server
    await server.stop()


async def through(runner, server, name, faults, records=120, **asked):
    """Run a device through a proxy with these faults and return what it found; everything has arrived, in order."""
    async with FaultProxy(server.port(name), faults) as proxy:
        found = await runner.run(name, port=proxy.port, records=records, **server.asked(name), **asked)
        found["connections"] = proxy.connections
    assert found["pending"] == 0 and found["acked"] == records, found
    arrived = await server.arrived(name, records)
    assert list(dict.fromkeys(arrived)) == all_of(records), "everything, in order"
    return found


async def test_a_connection_that_is_cut_anywhere_costs_repeats_and_no_reading(runner, server):
    # In ClientHello, in the handshake, in CONNECT, and in the middle of a publish, with a reset and without.
    faults = [Cut(100), Cut(450, resets=True), Cut(700), Cut(2500, resets=True), Cut(4000)]

    async def scenario(name):
        found = await through(runner, server, name, faults, records=400, speed=10)
        assert found["connections"] > len(faults)
        assert "connection lost" in found["errors"]

    await runner.on_every_link(scenario)


async def test_a_black_hole_is_noticed_by_the_missing_acknowledgement(runner, server):
    async def scenario(name):
        found = await through(runner, server, name, [BlackHole(3500)], speed=10)
        assert "no acknowledgement within 20 s" in found["errors"]

    await runner.on_every_link(scenario)


async def test_one_byte_at_a_time_is_slow_and_nothing_else(runner, server):
    async def scenario(name):
        found = await through(runner, server, name, [Drip()], records=40, busy=True)
        assert found["errors"] == [] and found["duplicates"] == 0

    await runner.on_every_link(scenario)


async def test_a_packet_is_one_tls_record_at_the_most(runner, server):
    async def scenario(name):
        tap = Tap()
        await through(runner, server, name, [tap], records=400)
        # 100 publishes, CONNECT, SUBSCRIBE, DISCONNECT or none; TLS 1.3 and WebSocket begin with one of their own.
        assert 0 < len(tap.records) <= 100 + 5, len(tap.records)

    await runner.on_every_link(scenario)


async def test_boards_speak_websockets_through_cuts_and_drips(runner, server):
    for name in FRAMED_BOARDS:
        await through(runner, server, name, [Cut(600), Cut(3000, resets=True), Drip()], busy=True, speed=4)


async def test_a_long_way_is_slow_and_nothing_else(runner, broker, authority, tmp_path):
    servers = [HubServer(tmp_path / "hub"), MosquittoServer(broker, authority)]
    async with contextlib.AsyncExitStack() as stack:
        for server in servers:
            await server.start()
            stack.push_async_callback(server.stop)

        async def scenario(name):
            await asyncio.gather(*(one(server, name) for server in servers))

        async def one(server, name):
            found = await through(runner, server, name, [Delay(0.5)], records=40)
            assert found["errors"] == [] and found["duplicates"] == 0 and found["connections"] == 1

        await runner.on_every_link(scenario)


async def test_an_outage_of_the_server_costs_nothing_and_wakes_nobody(runner, tmp_path):
    """While nobody listens the device waits, longer and longer, and asks a few times only."""
    hub = Hub(tmp_path / "hub")
    await hub.start()
    port = hub.port
    keys = {name: hub.devices.create("dev-" + name).primary_key for name in LINKS}
    ca = base64.b64encode(hub.ca_der).decode()
    await hub.stop()
    running = []

    async def scenario(name):
        asked = {
            "dialect": "azure",
            "key": keys[name],
            "ca": ca,
            "path": "/$iothub/websocket",
            "port": port,
            "speed": 4,
            "told": str(tmp_path / name),
        }
        running.append(name)
        found = await runner.run(name, **asked)
        assert found["pending"] == 0 and found["errors"] == ["nobody listens there"]

    devices = asyncio.create_task(runner.on_every_link(scenario))
    while not all((tmp_path / name).exists() for name in LINKS):
        assert not devices.done(), devices.result()
        await asyncio.sleep(0.02)
    hub = Hub(tmp_path / "hub", port=port)
    await hub.start()
    try:
        await devices
        for name in running:
            arrived = numbers(message.body for message in hub.messages("dev-" + name))
            assert list(dict.fromkeys(arrived)) == all_of(120), name
    finally:
        await hub.stop()
