"""Servers that do what none should: each link ends in a known state, sends again what it must, and loses nothing.

At first a peer is odd; later it behaves, so that everything can arrive.
"""

import os

import pytest

from host_tools.hub.mqtt import codec
from tests.contract.scripted_peer import Peer
from tests.contract.test_protocol_faults import FAST, RECORDS, assert_all_arrived, run, told

_LONG_TOPIC = b"t" * 65_535


def _publish(first_byte, body):
    return bytes((first_byte,)) + _length(len(body)) + body


def _length(value):
    found = b""
    while value > 0x7F:
        found += bytes((value & 0x7F | 0x80,))
        value >>= 7
    return found + bytes((value,))


def _text(data):
    return len(data).to_bytes(2, "big") + data


# What a server says in the place of the first acknowledgement; what it should not have said ends the connection.
BROKEN = {
    "CONNACK again": b"\x20\x02\x00\x00",
    "CONNECT": b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00",
    "SUBSCRIBE": b"\x82\x06\x00\x01\x00\x01a\x01",
    "PUBACK of one byte": b"\x40\x01\x00",
    "PUBACK of none": b"\x40\x00",
    "PUBLISH at QoS 3": _publish(0x36, _text(b"t") + b"\x00\x01x"),
    "PUBLISH whose topic is longer than it": _publish(0x30, b"\xff\xffabc"),
    "PUBLISH without a packet id": _publish(0x32, _text(b"topic")),
    "PUBLISH of nothing": b"\x30\x00",
}
# What is of no use and does no harm: everything arrives on the first connection.
HARMLESS = {
    "PUBACK of packet id 0": b"\x40\x02\x00\x00",
    "PUBACK of ids that were never used": b"".join(codec.puback(number) for number in range(40_000, 40_200)),
    "SUBACK for nothing": b"\x90\x03\x7f\xff\x01",
    "PINGRESP for nothing": b"\xd0\x00" * 50,
    "PUBLISH with a topic of 65,535 bytes": _publish(0x32, _text(_LONG_TOPIC) + b"\x00\x09x"),
    "PUBLISH with a topic of 65,535 bytes at QoS 0": _publish(0x30, _text(_LONG_TOPIC)),
    "PUBLISH with a topic that is no text": _publish(0x32, _text(b"\xff\xfe\xff") + b"\x00\x0ax"),
    "PUBLISH of somebody else's": _publish(0x3B, _text(b"a/b") + b"\x00\x0b"),
    "many small messages": _publish(0x30, _text(b"a/b") + b"x") * 3_000,
}


async def test_what_no_server_may_say_ends_the_connection(runner, authority):
    """Each connection says something else in the place of the first acknowledgement, until nothing is left."""

    class Odd(Peer):
        def on_publish(self, connection, publish):
            if connection.number <= len(BROKEN):
                connection.send(list(BROKEN.values())[connection.number - 1])
            else:
                super().on_publish(connection, publish)

    async def scenario(name):
        async with Odd(authority.context()) as peer:
            if name.startswith("paho"):  # it passes over some of it, and waits for what does not come
                found = await run(runner, name, peer, authority, speed=10 * FAST)
            else:
                found = await run(runner, name, peer, authority, speed=FAST)
                assert len(peer.connections) == len(BROKEN) + 1, found["errors"]
                assert not any("acknowledgement within" in error for error in found["errors"])
            assert_all_arrived(peer, found)

    await runner.on_every_link(scenario)


async def test_what_is_of_no_use_does_no_harm(runner, authority):
    class Chatty(Peer):
        def on_publish(self, connection, publish):
            if len(connection.publishes) <= len(HARMLESS):
                connection.send(list(HARMLESS.values())[len(connection.publishes) - 1])
            super().on_publish(connection, publish)

    async def scenario(name):
        async with Chatty(authority.context()) as peer:
            found = await run(runner, name, peer, authority, busy=True)
            assert_all_arrived(peer, found)
            assert len(peer.publishes) == RECORDS // 4 and len(peer.connections) == 1, found["errors"]
            assert sorted(peer.pubacks) == [9, 10, 11], "what wants an acknowledgement has one, or it came for ever"

    await runner.on_every_link(scenario)


@pytest.mark.parametrize(
    ("moment", "words"), [("CONNECT", "connection lost"), ("CONNACK", "connection lost"), ("SUBACK", "connection lost")]
)
async def test_a_server_that_goes_right_after(runner, authority, moment, words):
    """IoT Hub does so to a device whose hub has used up its quota, or is being moved."""

    class Going(Peer):
        def on_connect(self, connection):
            if connection.number > 2:
                super().on_connect(connection)
                return
            if moment != "CONNECT":
                super().on_connect(connection)
            if moment != "SUBACK":
                connection.close()

        def on_subscribe(self, connection, subscribe):
            super().on_subscribe(connection, subscribe)
            if connection.number <= 2:
                connection.close()

    async def scenario(name):
        async with Going(authority.context()) as peer:
            found = await run(runner, name, peer, authority)
            assert found["errors"] == [words] and len(peer.connections) == 3
            assert_all_arrived(peer, found)

    await runner.on_every_link(scenario)


@pytest.mark.parametrize(
    "connack", [b"\x20\x03\x00\x00\x00", b"\x20\x01\x00", b"\x20\x00", b"\x30\x02\x00\x00", b"\x22\x02\x00\x00"]
)
async def test_a_connack_that_is_none(runner, authority, connack):
    class Babbling(Peer):
        def on_connect(self, connection):
            if connection.number == 1:
                connection.send(connack)
            else:
                super().on_connect(connection)

    async def scenario(name):
        async with Babbling(authority.context()) as peer:
            found = await run(runner, name, peer, authority, speed=FAST)
            assert len(told(found)) <= 1
            assert_all_arrived(peer, found)

    await runner.on_every_link(scenario)


@pytest.mark.parametrize("code", [6, 255])
async def test_a_refusal_that_no_standard_knows_is_asked_again_at_the_ceiling(runner, authority, code):
    class Refusing(Peer):
        def on_connect(self, connection):
            connection.send(codec.connack(False, code))

    async def scenario(name):
        async with Refusing(authority.context()) as peer:
            found = await run(runner, name, peer, authority, errors=1)
            assert found["errors"] == [f"refused: code {code}"] and found["pending"] == RECORDS

    await runner.on_every_link(scenario)


@pytest.mark.parametrize("codes", [[], [1, 1, 1], [0]])
async def test_a_suback_that_grants_too_much_or_too_little(runner, authority, codes):
    class Generous(Peer):
        def on_subscribe(self, connection, subscribe):
            if connection.number == 1:
                connection.send(codec.suback(subscribe.packet_id, codes))
            else:
                super().on_subscribe(connection, subscribe)

    async def scenario(name):
        async with Generous(authority.context()) as peer:
            found = await run(runner, name, peer, authority, speed=FAST)
            assert told(found) == ([] if codes else ["no answer to SUBSCRIBE within 20 s"])
            assert_all_arrived(peer, found)

    await runner.on_every_link(scenario)


STRANGERS = {
    "an alert in the clear": b"\x15\x03\x03\x00\x02\x02\x50",
    "a proxy's page": b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
    "a record whose seal is wrong": b"\x17\x03\x03\x00\x20" + bytes(32),
}


@pytest.mark.parametrize("record", STRANGERS.values(), ids=STRANGERS)
async def test_a_stranger_in_the_tls_stream_ends_the_connection(runner, authority, record):
    class Disturbed(Peer):
        def on_publish(self, connection, publish):
            if connection.number == 1 and len(connection.publishes) == 3:
                os.write(connection.transport.get_extra_info("socket").fileno(), record)
            elif connection.number > 1:
                super().on_publish(connection, publish)

    async def scenario(name):
        async with Disturbed(authority.context()) as peer:
            found = await run(runner, name, peer, authority)
            (error,) = found["errors"]
            assert error.startswith("TLS failed (-0x7" if name == "umqtt-micropython" else "[SSL: "), error
            assert_all_arrived(peer, found)

    await runner.on_every_link(scenario)
