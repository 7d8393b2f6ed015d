"""WebSocket framing over a stream of bytes, under every way of cutting it; RFC 6455's own example among them."""

import hashlib
from binascii import b2a_base64

from fieldpost.links import websocket
from fieldpost.links.inbound import ProtocolError
from support import raises

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Bytes:
    """A stream that has `room` for so many bytes more and gives what stands in `incoming`, `piece` bytes a time."""

    pollable = None

    def __init__(self):
        self.sent = b""
        self.incoming = b""
        self.room = 10**6
        self.piece = 10**6
        self.is_over = False

    def write(self, data):
        count = min(len(data), self.room)
        self.room -= count
        self.sent += bytes(data[:count])
        return count or None

    def read_into(self, buffer):
        count = min(len(buffer), len(self.incoming), self.piece)
        if not count:
            return 0 if self.is_over else None
        buffer[:count] = self.incoming[:count]
        self.incoming = self.incoming[count:]
        return count

    def close(self):
        self.is_over = True


def accepted(request):
    key = request.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
    accept = b2a_base64(hashlib.sha1(key + GUID).digest()).strip()
    return b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nsec-websocket-accept: " + accept + b"\r\n\r\n"


def opened():
    below = Bytes()
    stream = websocket.Stream(below, "hub", 443, "/mqtt")
    assert stream.write(b"CONNECT") is None, "the handshake comes first"
    below.incoming = accepted(below.sent)
    below.sent = b""
    return below, stream


def unmasked(data):
    """Take one frame of a client; return (opcode, payload, rest)."""
    assert data[0] & 0x80 and data[1] & 0x80, "final and masked"
    size, at = data[1] & 0x7F, 2
    if size == 126:
        size, at = data[2] << 8 | data[3], 4
    mask, at = data[at : at + 4], at + 4
    payload = bytes([data[at + index] ^ mask[index & 3] for index in range(size)])
    return data[0] & 0x0F, payload, data[at + size :]


def received(stream):
    found, buffer = b"", memoryview(bytearray(64))
    while True:
        count = stream.read_into(buffer)
        if not count:
            return found, count
        found += bytes(buffer[:count])


def test_the_handshake_asks_for_mqtt_and_leaves_out_a_port_that_is_usual():
    below = Bytes()
    websocket.Stream(below, "hub", 443, "/$iothub/websocket").write(b"x")
    assert below.sent.startswith(b"GET /$iothub/websocket HTTP/1.1\r\nHost: hub\r\n")
    assert b"\r\nSec-WebSocket-Protocol: mqtt\r\n" in below.sent and below.sent.endswith(b"\r\n\r\n")
    below = Bytes()
    websocket.Stream(below, "hub", 8443, "/").write(b"x")
    assert b"\r\nHost: hub:8443\r\n" in below.sent


def test_what_is_written_leaves_masked_in_one_frame():
    below, stream = opened()
    for size in (1, 125, 126, 4000):
        data = bytes([index & 0xFF for index in range(size)])
        below.sent = b""
        assert stream.write(data) == size
        assert unmasked(below.sent) == (2, data, b"")
        assert size < 20 or data not in below.sent


def test_a_frame_that_leaves_in_pieces_is_asked_for_with_the_same_bytes_and_sent_once():
    below, stream = opened()
    stream.read_into(memoryview(bytearray(1)))
    below.room = 0
    assert stream.write(b"abc") is None
    for _ in range(8):
        below.room = 1
        assert stream.write(b"abc") is None
    below.room = 1
    assert stream.write(b"abc") == 3
    assert unmasked(below.sent) == (2, b"abc", b"")


def test_frames_may_be_cut_and_cut_up_anywhere():
    incoming = b"\x82\x05hello" + b"\x02\x01-" + b"\x80\x02wo" + b"\x82\x7e\x01\x00" + b"x" * 256 + b"\x82\x00"
    incoming += b"\x82\x7f" + b"\x00" * 7 + b"\x01y"
    for piece in (1, 2, 3, 7, 1000):
        below, stream = opened()
        below.piece = piece
        below.incoming += incoming
        assert received(stream) == (b"hello-wo" + b"x" * 256 + b"y", None)


def test_a_ping_is_answered_with_a_mask_and_a_close_ends_the_stream():
    below, stream = opened()
    below.incoming += b"\x89\x02hi\x82\x01a"
    assert received(stream) == (b"a", None)
    received(stream)
    assert unmasked(below.sent) == (0xA, b"hi", b"")
    below.sent = b""
    below.incoming = b"\x8a\x00\x89\x00\x88\x02\x03\xe8"
    assert received(stream) == (b"", 0)


def test_a_ping_in_front_of_output_does_not_break_it():
    below, stream = opened()
    stream.read_into(memoryview(bytearray(1)))
    below.room = 3
    assert stream.write(b"abc") is None
    below.incoming = b"\x89\x00\x82\x01z"
    assert received(stream) == (b"z", None)
    below.room = 100
    assert stream.write(b"abc") == 3
    received(stream)
    opcode, payload, rest = unmasked(below.sent)
    assert (opcode, payload) == (2, b"abc")
    assert unmasked(rest) == (0xA, b"", b"")


def test_a_server_that_says_no_is_quoted():
    for answer, words in (
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "the server offers no WebSocket: HTTP/1.1 404 Not Found"),
        (b"HTTP/1.1 101 Yes\r\nsec-websocket-accept: no\r\n\r\n", "the server's WebSocket handshake is not for us"),
        (b"x" * 2000, "the answer to the WebSocket handshake does not end"),
        (b"HTTP/1.1 101", "the server closed the connection during the WebSocket handshake"),
    ):
        below = Bytes()
        stream = websocket.Stream(below, "hub", 443, "/mqtt")
        below.incoming = answer
        below.is_over = True
        with raises(ProtocolError) as error:
            stream.write(b"x")
        assert error.message == words


def test_what_breaks_the_protocol_is_an_error():
    for frame in (b"\x81\x01a", b"\x82\x81abcd", b"\x8b\x00", b"\x89\x7e\x00\x80"):
        below, stream = opened()
        below.incoming += frame
        with raises(ProtocolError):
            received(stream)
