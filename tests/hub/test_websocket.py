"""MQTT over WebSockets, and HTTP, over real TLS; the frames are made by hand."""

import asyncio
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.hub.web import websocket
from host_tools.hub.web.message import Decoder, HttpError
from tests.hub.hub_bench import COMMANDS, EVENTS, running, until
from tests.hub.raw_device import RawDevice, connect, puback, publish, subscribe, token


def masked(opcode, data, final=True, mask=None):
    mask = os.urandom(4) if mask is None else mask
    size = len(data)
    head = bytes((0x80 * final | opcode,))
    if size < 126:
        head += bytes((0x80 | size,))
    elif size < 65536:
        head += b"\xfe" + struct.pack(">H", size)
    else:
        head += b"\xff" + struct.pack(">Q", size)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))


UPGRADE = (
    "GET /$iothub/websocket?iothub-no-client-cert=true HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class WebDevice:
    """A raw device whose packets travel in frames."""

    def __init__(self, raw):
        self.raw = raw
        self.bytes = b""

    @classmethod
    async def connected(cls, hub, device_id):
        raw = await RawDevice.dial(hub)
        raw.send(UPGRADE.encode())
        head = (await raw.reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("HTTP/1.1 101 ") and "Sec-WebSocket-Protocol: mqtt" in head
        assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head  # RFC 6455 section 1.3
        device = cls(raw)
        key = hub.devices.create(device_id).primary_key
        device.send(connect(device_id, token(key, f"localhost/devices/{device_id}")))
        assert await device.receive(4) == b"\x20\x02\x00\x00"
        return device

    def send(self, data, pieces=1):
        size = -(-len(data) // pieces)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            self.raw.send(masked(2 if start == 0 else 0, piece, final=start + size >= len(data)))

    async def frame(self):
        first, second = await asyncio.wait_for(self.raw.reader.readexactly(2), 120)
        length = second
        if length == 126:
            length = int.from_bytes(await self.raw.reader.readexactly(2), "big")
        return first & 0x0F, await self.raw.reader.readexactly(length)

    async def receive(self, count):
        while len(self.bytes) < count:
            opcode, data = await self.frame()
            assert opcode == 2
            self.bytes += data
        taken, self.bytes = self.bytes[:count], self.bytes[count:]
        return taken


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_a_device_lives_inside_frames(run, tmp_path, pieces):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await WebDevice.connected(hub, "dev1")
            device.send(publish(EVENTS + "a=b", bytes(70_000), 7), pieces)
            assert await device.receive(4) == b"\x40\x02\x00\x07"
            (message,) = hub.messages()
            assert message.body == bytes(70_000) and message.properties == {"a": "b"}
            device.raw.send(masked(9, b"are you there"))
            assert await device.frame() == (10, b"are you there")
            device.send(subscribe(COMMANDS + "#"))
            assert await device.receive(5) == b"\x90\x03\x00\x01\x01"
            await hub.send("dev1", bytes(300), {})
            opcode, data = await device.frame()
            end = 5 + int.from_bytes(data[3:5], "big")
            assert opcode == 2 and data[0] == 0x32
            device.send(puback(int.from_bytes(data[end : end + 2], "big")))
            await until(lambda: hub.pending("dev1") == 0)
            device.raw.send(masked(8, b"\x03\xe8"))
            assert (await device.frame())[0] == 8
            assert await device.raw.is_closed()

    run(scenario())


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x82\x02hi", 1002),  # not masked
        (masked(1, b"text"), 1003),
        (b"\xc2" + masked(2, b"x")[1:], 1002),
        (masked(9, bytes(126)), 1002),
        (b"\x82\xff" + struct.pack(">Q", 1 << 40), 1009),
    ],
    ids=["not masked", "text", "reserved bit", "long ping", "a terabyte"],  # masks are drawn: no names for tests
)
def test_a_frame_that_breaks_the_rules_closes_with_a_reason(run, tmp_path, data, code):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await WebDevice.connected(hub, "dev1")
            device.raw.send(data)
            opcode, reason = await device.frame()
            assert (opcode, int.from_bytes(reason, "big")) == (8, code)
            assert await device.raw.is_closed()
            await until(lambda: not hub.is_connected("dev1"))

    run(scenario())


def test_a_frame_of_a_stranger_is_short(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            raw = await RawDevice.dial(hub)
            raw.send(UPGRADE.encode() + masked(2, bytes(64 * 1024 + 1))[:100])
            await raw.reader.readuntil(b"\r\n\r\n")
            opcode, reason = await WebDevice(raw).frame()
            assert (opcode, reason) == (8, (1009).to_bytes(2, "big"))
            assert await raw.is_closed()

    run(scenario())


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET /$iothub/websocket HTTP/1.1\r\n\r\n", 426),
        (UPGRADE.replace("mqtt", "amqp"), 400),
        (UPGRADE.replace("Version: 13", "Version: 8"), 400),
        ("GET / HTTP/1.1 x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
        ("POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", 401),  # a stranger's, and its body is not waited for
        ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        ("GET / HTTP/1.1\r\n" + "a: b\r\n" * 20_000, 431),
    ],
)
def test_an_http_request_that_breaks_the_rules_is_told_so(run, tmp_path, request_text, status):
    async def scenario():
        async with running(tmp_path) as hub:
            raw = await RawDevice.dial(hub)
            raw.send(request_text.encode())
            head = await asyncio.wait_for(raw.reader.readuntil(b"\r\n\r\n"), 120)
            assert head.startswith(f"HTTP/1.1 {status} ".encode())

    run(scenario())


@given(st.binary(max_size=600), st.integers(1, 50))
def test_any_bytes_are_frames_or_an_error_however_they_are_cut(data, size):
    whole, cut = websocket.Decoder(), websocket.Decoder()
    assert _all(whole, [data]) == _all(cut, [data[at : at + size] for at in range(0, len(data), size)])


def _all(decoder, pieces):
    found = []
    try:
        for piece in pieces:
            decoder.feed(piece)
            found += [(frame.opcode, frame.data) for frame in decoder.frames()]
    except websocket.FrameError as error:
        found.append(error.code)
    return found


@given(st.lists(st.tuples(st.sampled_from([0, 2, 9]), st.binary(max_size=125)), max_size=5), st.integers(1, 9))
def test_frames_are_read_as_they_were_written(frames, size):
    decoder, found = websocket.Decoder(), []
    data = b"".join(masked(opcode, body) for opcode, body in frames)
    for at in range(0, len(data), size):
        decoder.feed(data[at : at + size])
        found += [(frame.opcode, frame.data) for frame in decoder.frames()]
    assert found == frames


@given(st.binary(max_size=300), st.integers(1, 40))
def test_any_bytes_are_requests_or_an_error(data, size):
    decoder = Decoder()
    try:
        for at in range(0, len(data), size):
            decoder.feed(data[at : at + size])
            list(decoder.requests())
    except HttpError as error:
        assert 400 <= error.status < 500
    parsed = Decoder()
    parsed.feed(
        b"POST /a%20b/c?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: " + str(len(data)).encode() + b"\r\n\r\n" + data
    )
    (request,) = parsed.requests()
    assert (request.path, request.query, request.body) == (("a b", "c"), {"x": "1"}, data)
