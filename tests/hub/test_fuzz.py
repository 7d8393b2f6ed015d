"""A fuzzer on every parser that reads what the network brings.

Goal: no crash, no hang, no unbounded memory. Method: good inputs of each kind, damaged by seed (bits, lengths, pieces
left out, doubled or taken from another input) and cut anywhere; a parser may refuse with the one error that it names,
and its buffer stays within its bound. A short slice of seeds runs always, a long one with -m exhaustive.
"""

import asyncio
import json
import random
import tracemalloc
from urllib.parse import quote

import pytest

from host_tools.errors import UserError
from host_tools.hub import Hub, property_bag, sas, strict_json
from host_tools.hub.amqp import framing, message, performatives, types
from host_tools.hub.devices import identity
from host_tools.hub.devices.registry import DeviceRegistry
from host_tools.hub.mqtt import codec, topics
from host_tools.hub.mqtt.telemetry_scan import scan
from host_tools.hub.provisioning import session as provisioning
from host_tools.hub.service import documents
from host_tools.hub.service.admin import AdminApi
from host_tools.hub.service.rest import ServiceApi
from host_tools.hub.store import database
from host_tools.hub.web import message as http
from host_tools.hub.web import websocket
from host_tools.provision.registry import Registry
from tests.hub.raw_device import connect, packet, publish, subscribe, text, token

KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
SHORT, LONG = range(3), range(100, 160)
ROUNDS = 250
INTERESTING = [0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF]
CHUNK = 64 * 1024

seeds = pytest.mark.parametrize("seed", [*SHORT, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in LONG)])


def damaged(chance, corpus):
    """Return one of the inputs, or two of them spliced, with a few things wrong."""
    data = bytearray(chance.choice(corpus))
    if chance.random() < 0.2:
        other = chance.choice(corpus)
        data = data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]
    for _ in range(chance.choice([0, 1, 1, 2, 3, 8])):
        if not data:
            break
        at = chance.randrange(len(data))
        what = chance.randrange(6)
        if what == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            data[at] = chance.choice(INTERESTING)
        elif what == 2:
            del data[at : at + chance.randint(1, 8)]
        elif what == 3:
            data[at:at] = data[at : at + chance.randint(1, 40)] * chance.choice([1, 2, 50])
        elif what == 4:
            data[at:at] = chance.randbytes(chance.randint(1, 8))
        else:
            width = chance.choice([2, 4, 8])
            data[at : at + width] = chance.choice([b"\xff", b"\x00", b"\x7f"]) * width
    return bytes(data)


def pieces(chance, data):
    """Cut data as a network might."""
    while data:
        size = chance.choice([1, 2, 7, 100, len(data)])
        yield data[:size]
        data = data[size:]


def streamed(decoder_of, taken, bound):
    """Return a target that feeds a decoder piece by piece; its buffer may hold `bound` bytes and a chunk."""

    def target(chance, data):
        decoder = decoder_of(chance)
        for piece in pieces(chance, data):
            decoder.feed(piece)
            for item in taken(decoder):
                assert item is not None
            assert len(decoder._buffer) <= bound + CHUNK

    return target


def amqp_decoder(chance):
    decoder = framing.Decoder()
    decoder.expects_header = chance.random() < 0.3
    decoder.frame_bytes_max = 64 * 1024
    return decoder


def as_text(function):
    return lambda chance, data: function(data.decode("utf-8", "replace"))


BAG = "%24.mid=m-1&%24.ct=application%2Fjson&%24.ce=utf-8&a=b&c&d=&%C3%BC=%20"
EVENTS = "devices/d1/messages/events/"
MQTT = [
    connect("d1", token(KEY, "localhost/devices/d1")),
    connect("d1", "x", will=(EVENTS, b"gone")),
    publish(EVENTS + BAG, b'{"a": 1}', 7) * 3,
    subscribe("$iothub/twin/res/#"),
    packet(0xA2, b"\x00\x01" + text("$iothub/twin/res/#")),
    packet(0x40, b"\x00\x05") + b"\xc0\x00\xe0\x00",
]
PROPERTIES = {"message-id": types.UInt(3), "to": "/devices/d1/messages/devicebound", "content-type": "a/b"}
MESSAGE = message.Message(b"body", None, PROPERTIES, {"operation": "put-token", "iothub-ack": "full"}, {"x-opt": 1})
PERFORMATIVES = [
    performatives.Open("x"),
    performatives.Begin(None, types.UInt(0), types.UInt(1), types.UInt(1)),
    performatives.Attach(
        "n", types.UInt(0), True, source=performatives.source("$cbs"), target=performatives.target("x")
    ),
    performatives.Flow(types.UInt(1), types.UInt(1), types.UInt(1), types.UInt(1), types.UInt(0), types.UInt(1)),
    performatives.Disposition(True, types.UInt(0), types.UInt(3), state=performatives.ACCEPTED),
    performatives.Detach(types.UInt(0), True),
    performatives.SaslInit(types.Symbol("PLAIN"), b"\0a\0b"),
]
FRAMES = [framing.frame(0, one) for one in PERFORMATIVES] + [
    framing.HEADERS[3],
    framing.empty_frame(),
    framing.frame(1, performatives.Transfer(types.UInt(0), types.UInt(1), b"t"), MESSAGE.as_bytes()),
]
VALUES = [MESSAGE.as_bytes(), types.encode({"a": [1, None, 2.5, True, types.Symbol("s")], "b": {"c": b"x" * 300}})]
MASK = b"\x01\x02\x03\x04"
WEBSOCKETS = [
    b"\x82\x85" + MASK + b"hello",
    b"\x82\xfe\x01\x00" + MASK + bytes(256),
    b"\x02\x83" + MASK + b"abc\x80\x80" + MASK,
    b"\x89\x80" + MASK + b"\x88\x82" + MASK + b"ab",
]
HTTP = [
    b"GET /devices?top=3&api-version=2021 HTTP/1.1\r\nHost: x\r\nAuthorization: SharedAccessSignature sr=a\r\n\r\n",
    b'PUT /devices/d%2F1 HTTP/1.1\r\nContent-Length: 8\r\nIf-Match: "*"\r\n\r\n{"a": 1}POST / HTTP/1.0\r\n\r\n',
    b"GET /$iothub/websocket HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: eA==\r\n\r\n",
]
JSON = [
    b'{"a": {"b": [1, 2.5e3, null, true, "\\ud83d\\ude00"]}, "c": -1e-3}',
    b'{"registrationId": "r1", "payload": {"x": [[[]]]}}',
    b"[" * 60 + b"]" * 60,
    b'{"deep":' * 900 + b"1" + b"}" * 900,
]
TOPICS = [
    "$iothub/twin/GET/?$rid=1",
    "$iothub/twin/PATCH/properties/reported/?$rid=a&b=c",
    "$iothub/methods/res/200/?$rid=" + "7" * 30 + "&$rid=8" * 40,
]
NAMES = ["localhost/d1/?api-version=2021-04-12&DeviceClientType=py%2F1", "localhost/d1/api-version=2021&a&b=c&=d"]
SCOPES = [
    "0ne1/registrations/r1/api-version=2019-03-31&ClientVersion=a%2Fb",
    "s/registrations/r/" + "&api-version=" * 60,
]
STRINGS = [f"HostName=localhost;SharedAccessKeyName=iothubowner;SharedAccessKey={KEY}"]


def encoded(texts):
    return [one.encode() for one in texts]


def amqp_message(chance, data):
    found = message.parse(data)
    types.encode(found.value)


def scanned(chance, data):
    buffer = bytearray(data)
    found = scan(buffer, 0, EVENTS.encode(), 256)
    if found is not None:  # what it takes, the codec takes too
        decoder = codec.Decoder()
        decoder.feed(found.packets)
        assert len(list(decoder.packets())) == found.count


TARGETS = {
    "mqtt": (
        MQTT,
        codec.ProtocolError,
        streamed(lambda _: codec.Decoder(), codec.Decoder.packets, codec.PACKET_BYTES_MAX),
    ),
    "telemetry": (MQTT[2:3], (), scanned),
    "amqp frames": (FRAMES, types.Malformed, streamed(amqp_decoder, framing.Decoder.frames, 64 * 1024)),
    "amqp values": (VALUES, types.Malformed, lambda chance, data: types.decode(data)),
    "amqp messages": (VALUES[:1], types.Malformed, amqp_message),
    "websocket": (
        WEBSOCKETS,
        websocket.FrameError,
        streamed(lambda _: websocket.Decoder(), websocket.Decoder.frames, websocket.FRAME_BYTES_MAX),
    ),
    "http": (
        HTTP,
        http.HttpError,
        streamed(lambda _: http.Decoder(), http.Decoder.requests, http.BODY_BYTES_MAX + http.HEAD_BYTES_MAX),
    ),
    "json": (JSON, ValueError, lambda chance, data: json.dumps(strict_json.loads(data), allow_nan=False)),
    "bags": (
        encoded([BAG]),
        property_bag.BagMalformed,
        as_text(lambda bag: property_bag.size(*property_bag.decode(bag))),
    ),
    "tokens": (
        encoded([token(KEY, "localhost/devices/d1", 4_000_000_000)]),
        sas.SasRefused,
        as_text(lambda one: sas.check(one, [KEY], "localhost/devices/d1", 0)),
    ),
    "topics": (encoded(TOPICS), (), as_text(topics.request)),
    "applicants": (
        encoded(SCOPES),
        identity.Refused,
        as_text(lambda name: provisioning.applicant(codec.Connect(4, True, 0, "r1", None, name, b""), [])),
    ),
    "connection strings": (encoded(STRINGS), UserError, as_text(Registry)),
}


@seeds
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_input_is_refused_by_name_or_taken(name, seed):
    corpus, refusal, target = TARGETS[name]
    chance = random.Random(f"{name} {seed}")
    for number in range(ROUNDS if name != "connection strings" else 20):  # each loads the system's certificates
        data = damaged(chance, corpus)
        try:
            target(chance, data)
        except refusal:
            pass
        except Exception as error:
            raise AssertionError(f"{name}, seed {seed}, input {number}: {data[:200]!r}") from error


@seeds
def test_a_damaged_connect_is_judged(tmp_path, seed):
    """User name, client id and token at once; nobody comes in with anything but what was signed."""
    chance = random.Random(seed)
    store = database.open_for_writing(tmp_path)
    devices = DeviceRegistry(store)
    good = token(devices.create("d1").primary_key, "localhost/devices/d1").encode()
    for _ in range(ROUNDS):
        name = damaged(chance, encoded(NAMES)).decode("utf-8", "replace")
        password = damaged(chance, [good])
        said = codec.Connect(4, True, 0, chance.choice(["d1", name]), None, name, password)
        try:
            admission = identity.admit(said, devices, None, [], 0)
        except identity.Refused as refused:
            assert 1 <= refused.code <= 5
        else:
            assert admission.device.id == said.client_id == "d1"
    store.close()


def anything(chance, depth=0):
    """A JSON value of any kind."""
    kind = chance.randrange(9 if depth < 3 else 6)
    if kind < 6:
        return chance.choice(
            [
                None,
                True,
                0,
                -1,
                1.5,
                10**30,
                "",
                "d1",
                "x" * 200,
                "enabled",
                "sas",
                "ü\u0000",
                "\ud800",
                KEY,
                "2026",
                3e38,
            ]
        )
    if kind == 6:
        return [anything(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {chance.choice(FIELDS): anything(chance, depth + 1) for _ in range(chance.randrange(5))}


FIELDS = [
    "status", "authentication", "symmetricKey", "primaryKey", "x509Thumbprint", "primaryThumbprint", "type", "tags",
    "properties", "desired", "$version", "$metadata", "a", "methodName", "payload", "responseTimeoutInSeconds",
    "connectTimeoutInSeconds", "query", "body", "body_base64", "system", "message_id", "ttl_s", "timeout_s", "pem",
    "certificate", "device_id", "failure", "is_enabled", "primary_key", "statusReason", "id", "importMode",
    "content-type",
]  # fmt: skip
PATHS = [
    "devices", "devices/d1", "devices/d2", "devices/query", "devices/d1/commands", "twins/d1", "twins/d1/methods",
    "messages/serviceBound/feedback", "messages/serviceBound/feedback/7", "messages/serviceBound/feedback/7/abandon",
    "statistics/devices", "statistics/service", "devices/d1/modules/m", "hub", "messages", "feedback", "enrollments",
    "enrollments/group/g", "enrollments/individual/i", "enrollments/x/y", "authorities", "authorities/a",
    "devices/d1/methods/m", "devices/d1/twin", "devices/d1/disconnect", "", "x",
]  # fmt: skip


@seeds
async def test_no_request_to_the_hubs_apis_is_a_bug(tmp_path, seed):
    """Requests of any method to any place with any JSON: answered, and never with 500."""
    chance = random.Random(seed)
    hub = Hub(tmp_path / "hub")
    await hub.start()
    api = AdminApi(hub)
    try:
        expiry = str(4_000_000_000)
        signature = quote(sas.sign(hub.policies.primary_key(), "localhost", expiry), safe="")
        signed = f"SharedAccessSignature sr=localhost&sig={signature}&se={expiry}&skn=iothubowner"
        for _ in range(ROUNDS):
            hub.devices.create("d1")
            method = chance.choice(["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD"])
            path = tuple(chance.choice(PATHS).split("/"))
            body = json.dumps(anything(chance)).encode() if chance.random() < 0.8 else damaged(chance, JSON)
            numbers = ["", "0", "7", "-1", "²", "9" * 30, "x"]
            query = {chance.choice(["top", "after", "limit", "device", "through"]): chance.choice(numbers)}
            headers = {"if-match": chance.choice(["*", '"*"', "", "x"]), "x-ms-max-item-count": chance.choice(numbers)}
            if chance.random() < 0.3:
                del headers["if-match"]
            for answer, authorization in ((ServiceApi(hub).answer, signed), (api.answer, f"Bearer {api._token}")):
                request = http.Request(method, path, query, {**headers, "authorization": authorization}, body)
                try:
                    async with asyncio.timeout(120):
                        response = await answer(request)
                    json.loads(response.body or b"null")
                    response.as_bytes(True)
                    assert response.status < 500 or response.status in (501, 504)
                except http.HttpError as error:
                    assert 400 <= error.status < 500
                except Exception as error:
                    raise AssertionError(f"seed {seed}: {method} /{'/'.join(path)} {query} {body[:300]!r}") from error
            if chance.random() < 0.2:
                documents.twin(hub, hub.devices.create("d1").id)
    finally:
        await hub.stop()


def test_what_never_ends_is_not_kept():
    """A stream of beginnings costs each decoder no more than its bound."""
    streams = {
        "mqtt": (codec.Decoder(16 * 1024), codec.Decoder.packets, b"\x30\xff\x7f", codec.ProtocolError),
        "amqp": (framing.Decoder(), framing.Decoder.frames, b"AMQP\x03\x01\x00\x00\x00\x00\x01\xff", types.Malformed),
        "http": (http.Decoder(), http.Decoder.requests, b"GET / HTTP/1.1\r\n", http.HttpError),
        "websocket": (websocket.Decoder(), websocket.Decoder.frames, b"\x82\xff" + bytes(8), websocket.FrameError),
    }
    for name, (decoder, taken, start, refusal) in streams.items():
        tracemalloc.start()
        try:
            decoder.feed(start)
            for _ in range(1000):
                decoder.feed(b"a" * 1000)
                for _ in taken(decoder):
                    pass
        except refusal:
            pass
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak < 2 << 20, f"{name} kept {peak} bytes"
