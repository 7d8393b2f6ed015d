"""MQTT in WebSocket frames (RFC 6455, MQTT 3.1.1 section 6), for networks that let nothing out but port 443.

A stream around a stream (see links.tls): same calls, nothing waits. Opening handshake, masked binary frames,
answers to pings; what the server frames how is of no importance to MQTT. paho-mqtt has a WebSocket of its own,
which waits for the handshake, answers pings without a mask and forgets a packet that was sent in part (2.2.0).
"""

import hashlib
import os
from binascii import b2a_base64

from fieldpost.compat import const
from fieldpost.limits import WEBSOCKET_FRAME_BYTES_MAX, WEBSOCKET_HEAD_BYTES_MAX
from fieldpost.links.inbound import ProtocolError

_CONTINUATION = const(0x0)
_BINARY = const(0x2)
_CLOSE = const(0x8)
_PING = const(0x9)
_PONG = const(0xA)
_FINAL = const(0x80)
_MASKED = const(0x80)
_CONTROL_BYTES_MAX = const(125)  # section 5.5
_FRAME_HEAD_BYTES = const(8)  # of a frame with 126 bytes and more: two, a length of two, a mask of four
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3


class Stream:
    """stream: a connected links.tls.Stream or links.tcp.Stream. path: where the server offers MQTT."""

    def __init__(self, stream, host, port, path):
        self._stream = stream
        self.pollable = stream.pollable
        self._key = b2a_base64(os.urandom(16)).strip()
        self._out = memoryview(bytearray(_FRAME_HEAD_BYTES + WEBSOCKET_FRAME_BYTES_MAX))
        self._start = self._end = 0  # what waits in `_out`
        self._taken = 0  # bytes of the caller's in it
        self._control = None  # a frame of ours that waits for its turn
        self._response = bytearray()
        self._byte = memoryview(bytearray(1))
        self._is_open = False
        self._head = bytearray()
        self._opcode = _BINARY
        self._payload_left = 0
        self._control_body = bytearray()
        self._put(
            (
                "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Version: 13\r\n\r\n"
                % (path, host if port in (80, 443) else "%s:%d" % (host, port), str(self._key, "ascii"))
            ).encode()
        )

    def write(self, data):
        """Send one frame of `data`; see links.tls."""
        if not self._flush() or not self._opened():
            return None
        if self._taken == 0:
            if self._control is not None:
                self._put(self._control)
                self._control = None
                if not self._flush():
                    return None
            self._taken = self._frame(data[:WEBSOCKET_FRAME_BYTES_MAX])
        if not self._flush():
            return None
        taken, self._taken = self._taken, 0
        return taken

    def read_into(self, buffer):
        """Give what the server's frames hold; see links.tls."""
        if self._taken == 0 and self._flush() and self._opened() and self._control is not None:
            self._put(self._control)
            self._control = None
            self._flush()
        if not self._is_open:
            return None
        while not self._payload_left or self._opcode >= _CLOSE:
            found = self._control_frame() if self._payload_left else self._frame_head()
            if found is None or found == 0:
                return found
        count = self._stream.read_into(buffer[: min(len(buffer), self._payload_left)])
        if count:
            self._payload_left -= count
        return count

    def close(self):
        self._stream.close()

    def _flush(self):
        """Send what waits; return whether all of it is gone."""
        while self._start < self._end:
            count = self._stream.write(self._out[self._start : self._end])
            if not count:
                return False
            self._start += count
        self._start = self._end = 0
        return True

    def _put(self, data):
        self._out[: len(data)] = data
        self._end = len(data)

    def _frame(self, data):
        """Put one masked frame of `data` (section 5.2); return len(data)."""
        out, size = self._out, len(data)
        out[0] = _FINAL | _BINARY
        if size <= _CONTROL_BYTES_MAX:
            out[1] = _MASKED | size
            at = 2
        else:
            out[1] = _MASKED | 126
            out[2] = size >> 8
            out[3] = size & 0xFF
            at = 4
        self._end = _mask(out, at, data)
        return size

    def _opened(self):
        """Read the server's answer to the handshake; return whether it is there. Raises ProtocolError if it is a no."""
        while not self._is_open:
            if not self._read_byte("during the WebSocket handshake"):
                return False
            self._response.append(self._byte[0])
            if len(self._response) > WEBSOCKET_HEAD_BYTES_MAX:
                raise ProtocolError("the answer to the WebSocket handshake does not end")
            if self._byte[0] == 0x0A and bytes(self._response[-4:]) == b"\r\n\r\n":
                self._check_response()
                self._is_open = True
        return True

    def _check_response(self):
        lines = bytes(self._response).split(b"\r\n")
        self._response = bytearray()
        if lines[0].split(b" ")[1:2] != [b"101"]:
            raise ProtocolError("the server offers no WebSocket: %s" % _printable(lines[0][:60]))
        expected = b2a_base64(hashlib.sha1(self._key + _GUID).digest()).strip()
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"sec-websocket-accept" and value.strip() == expected:
                return
        raise ProtocolError("the server's WebSocket handshake is not for us")

    def _frame_head(self):
        """Take a frame's head byte by byte; return True when it is whole, None for "not yet", 0 for the end."""
        head = self._head
        while len(head) < 2 or len(head) < _head_bytes(head[1]):
            count = self._stream.read_into(self._byte)
            if not count:
                return count
            head.append(self._byte[0])
        if head[1] & _MASKED:
            raise ProtocolError("a masked WebSocket frame from a server")
        size = head[1]
        if len(head) > 2:
            size = 0
            for index in range(2, len(head)):
                size = size << 8 | head[index]
        self._payload_left = size
        self._opcode = head[0] & 0x0F
        self._head = bytearray()
        if self._opcode >= _CLOSE:
            if self._payload_left > _CONTROL_BYTES_MAX or self._opcode > _PONG:
                raise ProtocolError("malformed WebSocket frame")
            self._control_body = bytearray()
            return True if self._payload_left else self._control_taken()
        if self._opcode not in (_BINARY, _CONTINUATION):
            raise ProtocolError("a WebSocket frame that is not binary")
        return True

    def _control_frame(self):
        """Take a control frame's body; return as `_frame_head`."""
        while self._payload_left:
            count = self._stream.read_into(self._byte)
            if not count:
                return count
            self._control_body.append(self._byte[0])
            self._payload_left -= 1
        return self._control_taken()

    def _control_taken(self):
        if self._opcode == _CLOSE:
            return 0
        if self._opcode == _PING:
            self._control = _pong(self._control_body)  # the newest counts (section 5.5.3)
        return True

    def _read_byte(self, when):
        count = self._stream.read_into(self._byte)
        if count == 0:
            raise ProtocolError("the server closed the connection " + when)
        return count


def _head_bytes(second):
    size = second & 0x7F
    return 2 if size < 126 else 4 if size == 126 else 10


def _pong(body):
    frame = bytearray(6 + len(body))
    frame[0] = _FINAL | _PONG
    frame[1] = _MASKED | len(body)
    _mask(frame, 2, body)
    return frame


def _mask(out, at, data):
    """Write a fresh mask and the masked data (section 5.3) at `at`; return the end."""
    mask = os.urandom(4)
    out[at : at + 4] = mask
    at += 4
    for index in range(len(data)):
        out[at + index] = data[index] ^ mask[index & 3]
    return at + len(data)


def _printable(data):
    return "".join([chr(byte) if 0x20 <= byte < 0x7F else "?" for byte in data])
