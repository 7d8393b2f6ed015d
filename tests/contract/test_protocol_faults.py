"""What a broker may do wrong, above TLS: every link ends in the state that docs/link.md names, with nothing lost."""

import asyncio

import pytest

from host_tools.hub.mqtt import codec
from tests.contract.links import all_of, numbers
from tests.contract.scripted_peer import Peer

RECORDS = 120
# Ten seconds of the device's time pass in one, where a limit of it is waited for.
FAST = 10
PING = b'{"command": "ping"}'


async def run(runner, name, peer, authority, **asked):
    return await runner.run(
        name, **{"port": peer.port, "ca": authority.ca, "path": "/mqtt", "records": RECORDS, **asked}
    )


def told(found):
    """Return what went wrong, without what a machine under load adds when time is sped up."""
    return [error for error in found["errors"] if error != "no answer within 20 s"]


def assert_all_arrived(peer, found, records=RECORDS):
    assert found["pending"] == 0 and found["acked"] == records
    arrived = numbers(publish.payload for publish in peer.publishes)
    assert sorted(set(arrived)) == all_of(records)
    first_time = list(dict.fromkeys(arrived))
    assert first_time == all_of(records), "in order"


def assert_sent_again(before, after):
    """What connection `before` left without a PUBACK came again on `after`: first, the same, and as a duplicate."""
    unacknowledged = [
        (publish.packet_id, publish.topic, publish.payload)
        for publish in before.publishes
        if publish.packet_id not in before.acknowledged
    ]
    assert unacknowledged
    again = after.publishes[: len(unacknowledged)]
    assert [(publish.packet_id, publish.topic, publish.payload) for publish in again] == unacknowledged
    assert all(publish.duplicate for publish in again)


async def test_pubacks_that_never_come_are_noticed_and_exactly_the_rest_is_sent_again(runner, authority):
    class Forgetful(Peer):
        def on_publish(self, connection, publish):
            if connection.number > 1 or len(connection.publishes) % 3:
                connection.puback(publish.packet_id)

    async def scenario(name):
        async with Forgetful(authority.context()) as peer:
            found = await run(runner, name, peer, authority, speed=FAST)
            assert told(found) == ["no acknowledgement within 20 s"]
            assert_all_arrived(peer, found)
            first, second = [connection for connection in peer.connections if connection.publishes]
            assert_sent_again(first, second)
            again = [publish.packet_id for publish in second.publishes if publish.duplicate]
            assert not set(again) & first.acknowledged, "exactly those"

    await runner.on_every_link(scenario)


async def test_pubacks_in_the_wrong_order_twice_or_for_nothing_cost_nothing(runner, authority):
    class Confused(Peer):
        def __init__(self, context):
            super().__init__(context)
            self.waiting = []

        def on_publish(self, connection, publish):
            self.waiting.append(publish.packet_id)
            if len(self.waiting) == 8 or len(connection.publishes) == RECORDS // 4:
                for packet_id in reversed(self.waiting):
                    connection.puback(packet_id)
                    connection.puback(packet_id)
                connection.send(codec.puback(60_000))
                self.waiting = []

    async def scenario(name):
        async with Confused(authority.context()) as peer:
            found = await run(runner, name, peer, authority)
            assert found["errors"] == [] and found["duplicates"] == 0
            assert_all_arrived(peer, found)
            assert len(peer.publishes) == RECORDS // 4, "nothing was sent twice"

    await runner.on_every_link(scenario)


async def test_a_broker_that_closes_in_the_middle_gets_the_unacknowledged_again(runner, authority):
    class Closing(Peer):
        def on_publish(self, connection, publish):
            if connection.number < 3 and len(connection.publishes) == 5:
                connection.close()
            elif connection.number == 3 or len(connection.publishes) < 4:
                connection.puback(publish.packet_id)

    async def scenario(name):
        async with Closing(authority.context()) as peer:
            found = await run(runner, name, peer, authority)
            assert found["errors"] == ["connection lost"]
            assert_all_arrived(peer, found)

    await runner.on_every_link(scenario)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "protocol version (1)"),
        (2, "client id (2)"),
        (3, "server unavailable (3)"),
        (4, "bad user name or password (4)"),
        (5, "not authorised (5)"),
    ],
)
async def test_a_refusal_is_told_by_its_name_and_every_reading_kept(runner, authority, code, words):
    class Refusing(Peer):
        def on_connect(self, connection):
            connection.send(codec.connack(False, code if connection.number == 1 else 0))
            if connection.number == 1:
                connection.close()

    async def scenario(name):
        async with Refusing(authority.context()) as peer:
            # "Server unavailable" will pass, and is asked again within a second; the others wait for a minute.
            found = await run(runner, name, peer, authority, errors=None if code == 3 else 1)
            assert found["errors"] == ["refused: " + words]
            if code == 3:
                assert_all_arrived(peer, found)
            else:
                assert found["state"] == "down" and found["pending"] == RECORDS and len(peer.connections) == 1

    await runner.on_every_link(scenario)


@pytest.mark.parametrize(
    ("silence", "words"),
    [
        ("connect", "no CONNACK within 60 s"),
        ("subscribe", "no answer to SUBSCRIBE within 20 s"),
    ],
)
async def test_an_answer_that_never_comes_has_a_deadline(runner, authority, silence, words):
    class Silent(Peer):
        def on_connect(self, connection):
            if silence != "connect" or connection.number > 1:
                super().on_connect(connection)

        def on_subscribe(self, connection, subscribe):
            if silence != "subscribe" or connection.number > 1:
                super().on_subscribe(connection, subscribe)

    async def scenario(name):
        async with Silent(authority.context()) as peer:
            found = await run(runner, name, peer, authority, speed=FAST)
            assert told(found) == [words]
            assert_all_arrived(peer, found)

    await runner.on_every_link(scenario)


async def test_a_server_that_shakes_no_hands_has_a_deadline(runner, authority):
    async def scenario(name):
        silent = await asyncio.start_server(lambda reader, writer: asyncio.sleep(60), "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        try:
            found = await runner.run(name, port=port, ca=authority.ca, path="/mqtt", speed=FAST, errors=1)
        finally:
            silent.close()
        assert found["errors"] == ["no answer within 20 s"] and found["pending"] == RECORDS
        # The loop went on turning through a handshake that does not: a watchdog in it is fed.
        assert found["connecting_turns"] > 20

    await runner.on_every_link(scenario)


async def test_a_refused_subscription_ends_the_connection_and_loses_nothing(runner, authority):
    class Refusing(Peer):
        def on_subscribe(self, connection, subscribe):
            if connection.number == 1:
                connection.send(codec.suback(subscribe.packet_id, [codec.SUBSCRIPTION_REFUSED]))
            else:
                super().on_subscribe(connection, subscribe)

    async def scenario(name):
        async with Refusing(authority.context()) as peer:
            found = await run(runner, name, peer, authority)
            assert found["errors"] == ["subscription refused"]
            assert_all_arrived(peer, found)

    await runner.on_every_link(scenario)


async def test_the_keepalive_is_kept_and_a_missing_pingresp_noticed(runner, authority):
    class Deaf(Peer):
        """Answers one ping, then none; the next connection gets the command that ends the test."""

        def on_ping(self, connection):
            if self.pings <= 1:
                super().on_ping(connection)

        def on_ready(self, connection):
            if self.pings > 1:
                connection.send(codec.publish(self.connects[0].client_id + "/commands", PING, 1, False, 5))

    async def scenario(name):
        async with Deaf(authority.context()) as peer:
            # paho reads a clock of its own: its keep-alive is in true seconds.
            found = await run(runner, name, peer, authority, keepalive_s=1, commands=1, speed=FAST)
            assert peer.connects[0].keep_alive_s == 1
            assert len(told(found)) == 1 and told(found)[0].startswith("no PINGRESP within")
            assert peer.pings >= 2 and found["commands"] == ["ping"]
            assert_all_arrived(peer, found)

    await runner.on_every_link(scenario)


async def test_a_message_that_is_too_large_is_refused_and_acknowledged_and_the_next_one_taken(runner, authority):
    class Generous(Peer):
        def on_ready(self, connection):
            topic = self.connects[0].client_id + "/commands"
            connection.send(codec.publish(topic, b"x" * 100_000, 1, False, 7))
            connection.send(codec.publish(topic, PING, 1, False, 8))

    async def scenario(name):
        async with Generous(authority.context()) as peer:
            found = await run(runner, name, peer, authority, commands=2)
            assert found["commands"] == ["ping"] and len(found["refused"]) == 1
            assert found["refused"][0].endswith("bytes is too long for this device")
            assert_all_arrived(peer, found)
            assert 7 in peer.pubacks

    await runner.on_every_link(scenario)


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xd0\xff\xff\xff\xff\x7f", b"\x00\x00"])
async def test_what_is_no_mqtt_ends_the_connection_and_loses_nothing(runner, authority, garbage):
    class Babbling(Peer):
        def on_publish(self, connection, publish):
            if connection.number == 1:
                connection.send(garbage)  # in the place of an acknowledgement
            else:
                super().on_publish(connection, publish)

    async def scenario(name):
        async with Babbling(authority.context()) as peer:
            found = await run(runner, name, peer, authority)
            assert len(found["errors"]) == 1, found["errors"]
            assert_all_arrived(peer, found)
            assert_sent_again(peer.connections[0], peer.connections[-1])

    await runner.on_every_link(scenario)
