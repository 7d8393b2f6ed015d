"""AMQP on the wire: who may do what, limits, and what a hub does about peers that break the rules."""

import asyncio
import os
import random
import ssl
import time
from urllib.parse import quote

import pytest

from host_tools.hub import Hub, sas
from host_tools.hub.amqp import framing, message, performatives
from host_tools.hub.amqp.framing import Frame
from host_tools.hub.amqp.message import Message
from host_tools.hub.amqp.performatives import (
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Flow,
    Open,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    Transfer,
)
from host_tools.hub.amqp.types import Described, Symbol, UInt, ULong


class Peer:
    """A client that says what it is told to, and hears frames."""

    def __init__(self, reader, writer) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = framing.Decoder()
        self._decoder.frame_bytes_max = 1 << 20
        self._heard = []
        self.raw(framing.HEADERS[3])

    def raw(self, data):
        """Send bytes."""
        self._writer.write(data)

    def say(self, performative, payload=b"", channel=0, kind=framing.AMQP):
        """Send a frame."""
        self.raw(framing.frame(channel, performative, payload, kind))

    async def heard(self):
        """Return the next header or frame, None at the end."""
        async with asyncio.timeout(120):
            while not self._heard:
                data = await self._reader.read(65536)
                if not data:
                    return None
                self._decoder.feed(data)
                for item in self._decoder.frames():
                    self._heard.append(item)
                    performative = item.performative if isinstance(item, Frame) else None
                    self._decoder.expects_header = isinstance(performative, SaslOutcome)
            return self._heard.pop(0)

    async def hears(self, kind):
        """Return the next performative of that kind; those before it are passed over."""
        while True:
            item = await self.heard()
            assert item is not None, f"the connection ended before {kind.__name__}"
            if isinstance(item, Frame) and isinstance(item.performative, kind):
                return item.performative

    async def ended(self):
        """Read to the end and return the error of the close, if one was sent."""
        condition = ""
        while (item := await self.heard()) is not None:
            if isinstance(item, Frame) and isinstance(item.performative, Close) and item.performative.error:
                condition = item.performative.error.value[0]
        return condition

    async def opens(self, mechanism="ANONYMOUS", response=None):
        """SASL, open and one session."""
        mechanisms = await self.hears(SaslMechanisms)
        assert {"MSSBCBS", "PLAIN", "ANONYMOUS"} <= set(mechanisms.sasl_server_mechanisms)
        self.say(SaslInit(Symbol(mechanism), response), kind=framing.SASL)
        outcome = await self.hears(SaslOutcome)
        if outcome.code:
            return False
        self.raw(framing.HEADERS[0])
        self.say(Open("test"))
        await self.hears(Open)
        self.say(Begin(None, UInt(0), UInt(1000), UInt(1000)))
        await self.hears(Begin)
        return True

    async def attaches(self, role, address, handle=0, **keys):
        """Attach a link; returns the detach that refuses it, None if it stands."""
        source, target = performatives.source(address), performatives.target(address)
        keys.setdefault("source", source)
        attach = Attach(f"link-{handle}", UInt(handle), role, target=target, **keys)
        if role is performatives.SENDER:
            attach.initial_delivery_count = UInt(0)
        self.say(attach)
        await self.hears(Attach)
        self.say(Flow(UInt(0), UInt(1000), UInt(0), UInt(1000), echo=True))
        while True:
            item = await self.heard()
            if isinstance(item.performative, Detach):
                return item.performative.error.value[0]
            if isinstance(item.performative, Flow) and item.performative.handle is None:
                return None

    def sends(self, number, sent, handle=0, **keys):
        """Send a message."""
        data = sent.as_bytes() if isinstance(sent, Message) else sent
        self.say(Transfer(UInt(handle), UInt(number), b"%d" % number, UInt(0), **keys), data)

    def gives(self, handle, credit, count=0, **keys):
        """Give credit."""
        self.say(Flow(UInt(0), UInt(1000), UInt(0), UInt(1000), UInt(handle), UInt(count), UInt(credit), **keys))

    async def receives(self):
        """Return the next message and its transfer; it may come in several frames."""
        data, first = b"", None
        while True:
            item = await self.heard()
            assert item is not None
            if isinstance(item.performative, Transfer):
                first = first or item.performative
                data += item.payload
                if not item.performative.more:
                    return message.parse(data), first

    def close(self):
        self._writer.close()


@pytest.fixture
async def hub(tmp_path):
    hub = Hub(tmp_path / "hub")
    await hub.start()
    yield hub
    await hub.stop()


@pytest.fixture
async def peer(hub):
    """Return a coroutine function that connects."""
    peers = []

    async def connect():
        context = ssl.create_default_context(cadata=hub.ca_pem)
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.port, ssl=context, server_hostname="localhost")
        peers.append(Peer(reader, writer))
        return peers[-1]

    yield connect
    for one in peers:
        one.close()


def token(hub, policy="service", seconds=600, scope="localhost"):
    expiry = str(int(time.time() + seconds))
    signature = quote(sas.sign(hub.policies.primary_key(policy), scope, expiry), safe="")
    return f"SharedAccessSignature sr={scope}&sig={signature}&se={expiry}&skn={policy}"


async def trusted(hub, peer):
    """A peer that has shown a token."""
    known = await peer()
    assert await known.opens("PLAIN", f"\0service@sas.root.hub\0{token(hub)}".encode())
    return known


async def test_a_stranger_can_put_a_token_and_do_nothing_else(hub, peer):
    stranger = await peer()
    assert await stranger.opens()
    unauthorised = "amqp:unauthorized-access"
    assert await stranger.attaches(performatives.SENDER, "messages/devicebound", 1) == unauthorised
    assert await stranger.attaches(performatives.RECEIVER, "messages/serviceBound/feedback", 2) == unauthorised
    assert await stranger.attaches(performatives.RECEIVER, "x/ConsumerGroups/$Default/Partitions/0", 3) == unauthorised
    assert await stranger.attaches(performatives.SENDER, "x/$management", 4) == unauthorised
    assert await stranger.attaches(performatives.SENDER, "$cbs", 5) is None
    assert await stranger.attaches(performatives.RECEIVER, "$cbs", 6) is None
    stranger.gives(6, 10)
    put = {"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": "amqps://localhost"}
    for number, (value, status) in enumerate(
        [
            (token(hub, "device"), 401),
            (token(hub, seconds=-5), 401),
            (token(hub, scope="elsewhere"), 401),
            ("nonsense", 401),
            (None, 400),
            (token(hub), 200),
        ]
    ):
        stranger.sends(number, Message(value=value, properties={"message-id": ULong(number)}, application=put), 5)
        answer, _ = await stranger.receives()
        assert answer.application["status-code"] == status, answer
        assert answer.properties["correlation-id"] == number and type(answer.properties["correlation-id"]) is ULong
    assert await stranger.attaches(performatives.SENDER, "amqps://localhost/messages/deviceBound", 7) is None


async def test_a_stranger_may_have_few_links(hub, peer):
    stranger = await peer()
    await stranger.opens()
    for handle in range(8):
        assert await stranger.attaches(performatives.RECEIVER, "$cbs", handle) is None
    assert await stranger.attaches(performatives.RECEIVER, "$cbs", 9) == "amqp:unauthorized-access"


@pytest.mark.parametrize("response", [b"", b"\0x\0nonsense", b"\xff\xfe", b"\0" * 50])
async def test_a_bad_password_ends_it(hub, peer, response):
    stranger = await peer()
    assert not await stranger.opens("PLAIN", response)
    await stranger.ended()


async def test_a_token_that_expires_ends_the_connection(hub, peer, monkeypatch):
    monkeypatch.setattr("host_tools.hub.amqp.connection._CHECK_S", 0.05)
    known = await peer()
    assert await known.opens("PLAIN", f"\0x\0{token(hub, seconds=600)}".encode())
    clock = hub.clock
    hub.clock = lambda: clock() + 601
    assert await known.ended() == "amqp:unauthorized-access"


async def test_who_never_shows_a_token_is_let_go(hub, peer, monkeypatch):
    monkeypatch.setattr("host_tools.hub.amqp.connection._CHECK_S", 0.05)
    stranger = await peer()
    await stranger.opens()
    monkeypatch.setattr("host_tools.hub.amqp.connection._TOKEN_TIMEOUT_S", 0.1)
    assert await stranger.ended() == "amqp:unauthorized-access"


async def test_a_command_in_many_frames_and_one_that_is_taken_back(hub, peer):
    hub.devices.create("d1")
    known = await trusted(hub, peer)
    assert await known.attaches(performatives.SENDER, "messages/devicebound") is None
    data = Message(b"x" * 5000, properties={"to": "/devices/d1/messages/devicebound"}).as_bytes()
    known.sends(0, data[:100], more=True)
    known.sends(0, data[100:200], more=True, aborted=False)
    known.sends(0, b"", aborted=True)
    for start in range(0, len(data), 700):
        known.sends(1, data[start : start + 700], more=start + 700 < len(data))
    settled = await known.hears(Disposition)
    assert settled.first == 1 and performatives.is_accepted(settled.state) and settled.settled
    assert hub.pending("d1") == 1


async def test_what_goes_to_nobody_is_rejected(hub, peer):
    hub.devices.create("d1")
    known = await trusted(hub, peer)
    assert await known.attaches(performatives.SENDER, "messages/devicebound") is None
    for number, (properties, condition) in enumerate(
        [
            ({}, "amqp:not-found"),
            ({"to": "/devices/nobody/messages/devicebound"}, "amqp:not-found"),
            ({"to": "/devices/d1/messages/devicebound", "message-id": "x" * 200}, "com.microsoft:argument-error"),
        ]
    ):
        known.sends(number, Message(b"", properties=properties))
        state = (await known.hears(Disposition)).state
        assert state.descriptor == 0x25 and state.value[0].value[0] == condition
    assert hub.pending("d1") == 0


async def test_more_than_the_credit_and_a_message_too_large_end_the_link(hub, peer):
    known = await trusted(hub, peer)
    assert await known.attaches(performatives.SENDER, "messages/devicebound", 0) is None
    for _ in range(5):
        known.sends(0, b"x" * 60_000, more=True)
    assert (await known.hears(Detach)).error.value[0] == "amqp:link:message-size-exceeded"
    monopolist = await trusted(hub, peer)
    assert await monopolist.attaches(performatives.SENDER, "messages/devicebound", 0) is None
    hub.devices.create("d1")
    for number in range(200):
        monopolist.sends(number, Message(b"", properties={"to": "/devices/d1/messages/devicebound"}))
    assert (await monopolist.hears(Detach)).error.value[0] == "amqp:link:transfer-limit-exceeded"


async def test_feedback_that_is_not_settled_comes_again(hub, peer):
    hub.devices.create("d1")
    await hub.send("d1", b"", {"iothub-ack": "full"}, "m-1")
    hub.command_queue("d1").purge()
    first = await trusted(hub, peer)
    assert await first.attaches(performatives.RECEIVER, "messages/serviceBound/feedback", 3) is None
    first.gives(3, 5)
    batch, transfer = await first.receives()
    assert b"m-1" in batch.body and transfer.settled is False
    released = Described(ULong(0x26), [])
    first.say(Disposition(performatives.RECEIVER, transfer.delivery_id, settled=True, state=released))
    batch, transfer = await first.receives()
    assert b"m-1" in batch.body
    first.close()
    second = await trusted(hub, peer)
    assert await second.attaches(performatives.RECEIVER, "messages/serviceBound/feedback", 3) is None
    second.gives(3, 5)
    batch, transfer = await second.receives()
    assert b"m-1" in batch.body
    second.say(Disposition(performatives.RECEIVER, transfer.delivery_id, settled=False, state=performatives.ACCEPTED))
    assert (await second.hears(Disposition)).settled
    assert not len(hub.feedback)


async def stored(hub, count, body=b"x"):
    for _ in range(count):
        hub.store_event("d1", {}, {}, body, False)
    durable = asyncio.get_running_loop().create_future()
    hub.after_what_was_stored(lambda: durable.set_result(None))
    await durable


async def test_no_more_events_than_credit_and_draining(hub, peer):
    from host_tools.hub.service.partitions import partition_of

    await stored(hub, 10)
    known = await trusted(hub, peer)
    address = f"events/ConsumerGroups/$Default/Partitions/{partition_of('d1')}"
    assert await known.attaches(performatives.RECEIVER, address, 2) is None
    known.gives(2, 3)
    for number in range(1, 4):
        event, _ = await known.receives()
        assert event.annotations["x-opt-sequence-number"] == number
    known.gives(2, 100, count=3, drain=True)
    for number in range(4, 11):
        event, _ = await known.receives()
        assert event.annotations["x-opt-sequence-number"] == number
    flow = await known.hears(Flow)
    assert flow.link_credit == 0 and flow.delivery_count == 103
    known.say(Detach(UInt(2), True))
    assert (await known.hears(Detach)).closed
    known.say(End())
    await known.hears(End)
    known.say(Close())
    await known.hears(Close)
    assert await known.heard() is None


async def test_a_reader_that_does_not_read_is_not_written_to(hub, peer):
    from host_tools.hub.service.partitions import partition_of

    await stored(hub, 200, b"x" * 200_000)
    known = await trusted(hub, peer)
    address = f"events/ConsumerGroups/$Default/Partitions/{partition_of('d1')}"
    assert await known.attaches(performatives.RECEIVER, address, 2) is None
    known.say(Flow(UInt(0), UInt(1_000_000), UInt(0), UInt(1000), UInt(2), UInt(0), UInt(1000)))
    (server_side,) = hub.connections
    async with asyncio.timeout(120):
        while server_side.is_writable:
            await asyncio.sleep(0.01)
    assert server_side._transport.get_write_buffer_size() < 1 << 20
    for number in range(1, 201):
        event, _ = await known.receives()
        assert event.annotations["x-opt-sequence-number"] == number and len(event.body) == 200_000


@pytest.mark.parametrize(
    "filter_",
    ["amqp.annotation.x-opt-offset > 'x'", "1 = 1", "amqp.annotation.x-opt-offset < '3'", ""],
)
async def test_an_unknown_filter_is_refused(hub, peer, filter_):
    known = await trusted(hub, peer)
    address = "events/ConsumerGroups/$Default/Partitions/0"
    name = Symbol("apache.org:selector-filter:string")
    source = performatives.source(address, {name: Described(name, filter_)})
    assert await known.attaches(performatives.RECEIVER, address, 2, source=source) == "amqp:invalid-field"


@pytest.mark.parametrize(
    "broken",
    [
        b"AMQP\x00\x00\x09\x01",
        b"AMQP\x07\x01\x00\x00",
        framing.HEADERS[3] + b"\xff\xff\xff\xff\x02\x01\x00\x00",
        framing.HEADERS[3] + b"\x00\x00\x00\x01\x02\x01\x00\x00",
        framing.HEADERS[3] + b"\x00\x00\x00\x10\x00\x01\x00\x00" + b"\x00" * 8,
        framing.HEADERS[3] + framing.frame(0, Open("x")),
        framing.HEADERS[3] + framing.frame(0, Open("x"), kind=framing.SASL),
        framing.HEADERS[0] + framing.frame(0, Begin(None, UInt(0), UInt(1), UInt(1))),
        framing.HEADERS[0] + framing.frame(0, Open("x")) + framing.frame(3, End()) + framing.frame(3, Detach(UInt(0))),
        framing.HEADERS[0] + framing.frame(0, Open("x")) + framing.frame(99, Begin(None, UInt(0), UInt(1), UInt(1))),
    ],
)
async def test_what_breaks_the_protocol_ends_the_connection_and_no_other(hub, peer, broken):
    other = await trusted(hub, peer)
    context = ssl.create_default_context(cadata=hub.ca_pem)
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port, ssl=context, server_hostname="localhost")
    writer.write(broken)
    async with asyncio.timeout(120):
        await reader.read()
    writer.close()
    assert await other.attaches(performatives.SENDER, "messages/devicebound") is None


async def test_random_frames_never_hurt_the_hub(hub, peer, caplog):
    """Well-formed performatives in any order, with handles, channels and payloads at random."""
    seed = int(os.environ.get("FIELDPOST_FUZZ_SEED", "1"))
    chance = random.Random(seed)
    hub.devices.create("d1")
    addresses = ["$cbs", "messages/devicebound", "messages/servicebound/feedback", "$management", "x"]
    addresses += ["e/ConsumerGroups/$Default/Partitions/0"]

    def performative():
        handle, number = UInt(chance.choice([0, 1, 2, 3])), UInt(chance.choice([0, 1, 5, 2**32 - 1]))
        address = chance.choice(addresses)
        kind = chance.randrange(9)
        if kind == 0:
            return Begin(None, number, UInt(100), UInt(100))
        if kind <= 2:
            role = chance.random() < 0.5
            ends = performatives.source(address), performatives.target(address)
            return Attach("n", handle, role, source=ends[0], target=ends[1], initial_delivery_count=UInt(0))
        if kind == 3:
            return Flow(number, UInt(100), number, UInt(100), handle, number, UInt(chance.choice([0, 7, 2**32 - 1])))
        if kind == 4:
            return Disposition(chance.random() < 0.5, number, number, state=performatives.ACCEPTED)
        if kind == 5:
            return Detach(handle, True)
        if kind == 6:
            return End()
        return Transfer(handle, number, b"t", UInt(0), None, chance.random() < 0.2)

    payloads = [b"", b"\x00", Message(b"x", properties={"to": "/devices/d1/messages/devicebound"}).as_bytes()]
    payloads += [Message(value="t", application={"operation": "put-token"}).as_bytes()]
    for _ in range(60):
        known = await trusted(hub, peer)
        for _ in range(40):
            said = performative()
            known.say(said, chance.choice(payloads) if isinstance(said, Transfer) else b"", chance.choice([0, 0, 1]))
        known.close()
    async with asyncio.timeout(120):
        while hub.connections:
            await asyncio.sleep(0.05)
    errors = [record for record in caplog.records if record.exc_info or record.levelname == "ERROR"]
    assert not errors, (seed, errors)
    last = await trusted(hub, peer)
    assert await last.attaches(performatives.SENDER, "messages/devicebound") is None, seed
    assert hub.partitions.reader_count() == 0, seed
