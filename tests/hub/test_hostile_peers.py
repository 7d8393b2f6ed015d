"""Hostile peers, of every protocol: no crash, no hang, bounded memory, a line in the log, others unaffected."""

import asyncio
import contextlib
import json
import logging
import os
import random
import socket
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.hub import sas
from host_tools.hub.amqp import connection as amqp_connection
from host_tools.hub.devices import identity
from host_tools.hub.devices.registry import DeviceRegistry
from host_tools.hub.mqtt import codec, connection, topics
from host_tools.hub.mqtt.connection import Connection
from host_tools.hub.one_line import OneLineFormatter
from host_tools.hub.provisioning import session as provisioning
from host_tools.hub.service.policies import Policies
from host_tools.hub.store import database
from host_tools.hub.store.settings import Settings
from host_tools.hub.web import connection as web_connection
from tests.hub.hub_bench import EVENTS, running
from tests.hub.raw_device import RawDevice, connect, packet, publish, token
from tests.hub.raw_topics import publish_0, subscribe_all

KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
BITS = st.sampled_from(
    ["SharedAccessSignature ", "sr=", "sig=", "se=", "skn=", "&", "localhost", "%2Fdevices%2Fd1", "1", "²", "%", "%ff"]
)
TEXTS = st.one_of(
    st.text(max_size=80), st.lists(BITS, max_size=12).map("".join), st.lists(BITS, max_size=4).map("&".join)
)


@given(TEXTS)
@settings(max_examples=300)
def test_any_text_is_a_token_or_refused(text):
    for given_text in (text, "SharedAccessSignature " + text):
        with contextlib.suppress(sas.SasRefused):
            sas.check(given_text, [KEY], "localhost/devices/d1", 0)
            pytest.fail("nobody signed that")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = database.open_for_writing(tmp_path_factory.mktemp("store"))
    yield opened
    opened.close()


@given(text=TEXTS)
@settings(max_examples=300)
def test_any_text_as_a_service_token_gives_nothing(store, text):
    policies = Policies(Settings(store), lambda: {"localhost"}, time.time)
    for given_text in (text, "SharedAccessSignature sr=localhost&skn=iothubowner&" + text):
        with contextlib.suppress(sas.SasRefused):
            policies.check(given_text, "ServiceConnect")
            pytest.fail("nobody signed that")


@given(client=TEXTS, user=TEXTS, password=st.binary(max_size=80))
@settings(max_examples=300)
def test_any_connect_is_judged(store, client, user, password):
    devices = DeviceRegistry(store)
    devices.create("d1")
    for name in (user, f"localhost/d1/{user}", f"scope/registrations/{user}/api-version=2019-03-31"):
        for client_id in (client, "d1"):
            said = codec.Connect(4, True, 0, client_id, None, name, password)
            try:
                if provisioning.applicant(said, []) is None:
                    identity.admit(said, devices, None, [], time.time())
                    pytest.fail("nobody signed that")
            except identity.Refused as refused:
                assert 1 <= refused.code <= 5


@given(
    st.one_of(
        st.text(max_size=60),
        st.sampled_from(["twin/GET", "methods/res/200"]).flatmap(
            lambda start: st.text("/?$rid=&1²%", max_size=20).map(lambda rest: start + rest)
        ),
    )
)
@settings(max_examples=300)
def test_any_topic_is_a_request_or_none(text):
    topics.request("$iothub/" + text)


class Transport(asyncio.Transport):
    """Takes everything and remembers how much."""

    def __init__(self):
        super().__init__()
        self.is_closed = False

    def get_extra_info(self, name, default=None):
        return default

    def write(self, data):
        assert len(data) < 1 << 20

    def close(self):
        self.is_closed = True

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


BODIES = [
    b"", b"{}", b"[]", b"null", b"1e999", b'{"a": 1e999}', b'{"a": NaN}', b'{"a": "\\ud800"}', b'{"\\ud800": 1}',
    b'{"a": ' + b"9" * 5000 + b"}", b"[" * 100_000, b'{"a":' * 5000, b'{"a": {"b": null}}', b'{"a.b": 1}', b'{"$x": 1}',
    b'{"a": 12345678901234567890}', b"\xff\xfe", b'{"a": [1, {"b": [2]}]}', b'{"a": "' + b"x" * 40_000 + b'"}',
    b'{"registrationId": 7}', b'{"registrationId": "r1", "payload": {"\\ud800": 1e999}}', b'{"": 1}', b'{"a": -0}',
]  # fmt: skip
QUERIES = ["$rid=1", "$rid=", "", "$rid=\x7f", "a=b&$rid=2&c", "$rid=" + "x" * 300, "$rid=ü", "operationId=&$rid=1"]
PLACES = [
    "$iothub/twin/GET/?", "$iothub/twin/PATCH/properties/reported/?", "$iothub/methods/res/200/?",
    "$iothub/methods/res/-1/?", "$iothub/methods/res/99999999999/?", "$iothub/nothing/?", "devices/d1/messages/events/",
    "devices/d1/messages/events/a=%ff&", "devices/d2/messages/events/", "$dps/registrations/PUT/iotdps-register/?",
    "$dps/registrations/GET/iotdps-get-operationstatus/?",
]  # fmt: skip


def said(chance):
    """A packet that is well-formed, mostly, and says anything."""
    kind = chance.randrange(12)
    if kind == 0:
        return subscribe_all("$iothub/twin/res/#", "$iothub/methods/POST/#", "$dps/registrations/res/#", "#", "a/+/b")
    if kind == 1:
        return packet(0xA2, b"\x00\x01\x00\x01#")
    if kind == 2:
        return packet(0x40, chance.randbytes(2))
    if kind == 3:
        return b"\xc0\x00"
    if kind == 4:
        return chance.randbytes(chance.randrange(1, 20))
    topic, body = chance.choice(PLACES) + chance.choice(QUERIES), chance.choice(BODIES)
    return publish(topic, body, chance.randrange(1, 9)) if chance.random() < 0.5 else publish_0(topic, body)


@pytest.mark.parametrize("is_applicant", [False, True], ids=["device", "applicant"])
def test_whatever_a_device_says_it_is_answered_or_closed(run, tmp_path, is_applicant):
    seed = int(os.environ.get("FIELDPOST_FUZZ_SEED", "1"))
    chance = random.Random(seed)

    async def scenario():
        async with running(tmp_path) as hub:
            key = hub.devices.create("d1").primary_key
            made = hub.provisioning.enrollments.put("individual", "r1", {})
            scope = f"{hub.provisioning.id_scope}/registrations/r1"
            hello = connect("d1", token(key, "localhost/devices/d1"))
            if is_applicant:
                signed = token(made.primary_key, scope) + "&skn=registration"
                hello = connect("r1", signed, f"{scope}/api-version=2019-03-31")
            for _ in range(150):
                one, transport = Connection(hub), Transport()
                one.connection_made(transport)
                one.data_received(hello)
                assert one.session is not None, seed
                for _ in range(20):
                    try:
                        one.data_received(said(chance))
                    except Exception as error:
                        raise AssertionError(f"seed {seed}") from error
                    if transport.is_closed:
                        break
                one.close("enough")
                await asyncio.sleep(0)
            twin = hub.twins.get("d1")
            json.dumps(twin.reported.with_metadata(), allow_nan=False)
            assert {message.device_id for message in hub.messages()} <= {"d1"}

    run(scenario())


def test_slow_peers_of_every_protocol_are_let_go_and_hinder_nobody(run, tmp_path, monkeypatch):
    beginnings = [b"\x10\x7f\x00\x04MQ", b"GET / HTTP/1.1\r\nA: ", b"AMQP\x03\x01\x00\x00", b"AM", b""]

    async def drips(peer):
        with contextlib.suppress(ConnectionError):
            while not peer.reader.at_eof() and not peer.writer.is_closing():
                peer.send(b"x")
                await asyncio.sleep(0.05)

    async def scenario():
        async with running(tmp_path) as hub:
            good = await RawDevice.connected(hub, "good")
            monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.5)  # from the end of a handshake on
            monkeypatch.setattr(web_connection, "_REQUEST_S", 0.5)
            monkeypatch.setattr(amqp_connection, "_CHECK_S", 0.1)
            monkeypatch.setattr(amqp_connection, "_TOKEN_TIMEOUT_S", 0.5)
            peers = []
            for number in range(60):
                peer = await RawDevice.dial(hub)
                peer.send(beginnings[number % len(beginnings)])
                peers.append(peer)
            dripping = [asyncio.create_task(drips(peer)) for peer in peers if peers.index(peer) % 5 < 2]
            for number in range(1, 20):
                good.send(publish("devices/good/messages/events/", b"x", number))
                assert await good.receive() == (0x40, b"\x00" + bytes((number,)))
            async with asyncio.timeout(120):
                for peer in peers:
                    with contextlib.suppress(ConnectionError):
                        await peer.reader.read()
                while len(hub.connections) > 1:
                    await asyncio.sleep(0.02)
            for task in dripping:
                task.cancel()
            good.send(publish("devices/good/messages/events/", b"x", 99))
            assert await good.receive() == (0x40, b"\x00\x63")

    run(scenario())


def test_a_device_that_asks_and_does_not_read_is_not_read_either(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await RawDevice.connected(hub, "dev1")
            await hub.change_twin("dev1", None, {"text": ["x" * 4000] * 6})
            device.send(subscribe_all("$iothub/twin/res/#"))
            await device.receive()
            device.reader._transport.pause_reading()
            (server_side,) = hub.connections
            for number in range(3000):
                device.send(publish_0(f"$iothub/twin/GET/?$rid={number}"))
                if number % 100 == 0:
                    await asyncio.sleep(0)
            async with asyncio.timeout(120):
                while server_side.is_writable:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            assert server_side._transport.get_write_buffer_size() < 8 << 20
            assert len(server_side._outgoing) < 8 << 20
            good = await RawDevice.connected(hub, "good")
            good.send(publish("devices/good/messages/events/", b"x", 1))
            assert await good.receive() == (0x40, b"\x00\x01")

    run(scenario())


def test_who_sends_http_requests_and_reads_no_answers_is_let_go(run, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(web_connection, "_REQUEST_S", 2.0)

    async def scenario():
        async with running(tmp_path) as hub:
            peer = await RawDevice.dial(hub)
            peer.reader._transport.pause_reading()
            request = b"GET /devices/%1b%5b31m HTTP/1.1\r\nHost: a\r\n\r\n"
            peer.send(request)
            async with asyncio.timeout(120):
                while not hub.connections or not isinstance(
                    server_side := next(iter(hub.connections)), web_connection.HttpConnection
                ):
                    await asyncio.sleep(0.01)
                for transport, option in ((server_side._transport, socket.SO_SNDBUF), (peer.writer, socket.SO_RCVBUF)):
                    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, 4096)
                while hub.connections:
                    if peer.writer.transport.get_write_buffer_size() < 1 << 16:
                        peer.send(request * 100)
                    assert len(server_side._waiting) < 10_000
                    await asyncio.sleep(0.005)
        assert "the answers are not read" in caplog.text

    run(scenario())


def test_what_a_stranger_writes_is_one_line_of_the_log_without_controls():
    formatter = OneLineFormatter("%(asctime)s %(message)s")

    def line(message, error=None):
        record = logging.LogRecord("x", logging.WARNING, "x.py", 1, "GET /%s", (message,), error)
        return formatter.format(record)

    shown = line("a\n2026-01-01 fake\r\x1b[2J\x9b31m\u2028\u202eb\x7f")
    assert shown.endswith(r"GET /a\n2026-01-01 fake\r\x1b[2J\x9b31m\u2028\u202eb\x7f") and len(shown.splitlines()) == 1
    assert len(line("x" * 100_000)) < 1_100
    assert "Größe °C" in line("Größe °C")
    try:
        raise ValueError("bug")
    except ValueError as error:
        found = (ValueError, error, error.__traceback__)
    assert len(line("b\nc", found).splitlines()) > 3, "the hub's own traceback has its lines"


@pytest.mark.parametrize(
    "broken",
    [
        b"\x30\xff\xff\xff\xff\x01",
        b"\x32\x80\x80\x80\x80\x01",
        b"\x30\xff\xff\xff\x7f",
        publish(EVENTS, bytes(256 * 1024 + 1), 1),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 50,
        b"\xff" * 50,
    ],
    ids=["length", "long zero length", "256 MB", "too large", "TLS in TLS", "zeros", "ones"],
)
def test_what_breaks_mqtt_is_closed_with_a_line_in_the_log(run, tmp_path, caplog, broken):
    async def scenario():
        async with running(tmp_path) as hub:
            good = await RawDevice.connected(hub, "good")
            device = await RawDevice.connected(hub, "dev1")
            with caplog.at_level(logging.WARNING, "fieldpost.hub"):
                device.send(broken)
                assert await device.is_closed()
            assert any(record.levelno == logging.WARNING and "dev1" in record.message for record in caplog.records)
            good.send(publish("devices/good/messages/events/", b"x", 1))
            assert await good.receive() == (0x40, b"\x00\x01")

    run(scenario())


def test_what_is_no_tls_is_closed(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            for garbage in (b"\x00" * 100, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 200):
                reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
                writer.write(garbage)
                if garbage[0] != 0x16:
                    async with asyncio.timeout(120):
                        with contextlib.suppress(ConnectionError):
                            await reader.read()
                writer.close()
            good = await RawDevice.connected(hub, "good")
            good.send(publish("devices/good/messages/events/", b"x", 1))
            assert await good.receive() == (0x40, b"\x00\x01")

    run(scenario())
