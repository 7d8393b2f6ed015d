"""MQTT 3.1.1 packets, server side: bytes in, packets out, and back; not one socket.

Sections are of the OASIS standard MQTT 3.1.1. A `ProtocolError` means that the connection is to be closed
(section 4.8): there is no way to tell the peer in this version of the protocol.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from host_tools.hub.mqtt.telemetry_scan import Telemetry, scan

# Azure IoT Hub takes messages of 256 KB; topic and properties travel in front of them.
PACKET_BYTES_MAX: Final = 256 * 1024 + 65_535 + 8

CONNECT: Final = 1
PUBLISH: Final = 3
PUBACK: Final = 4
SUBSCRIBE: Final = 8
UNSUBSCRIBE: Final = 10
PINGREQ: Final = 12
DISCONNECT: Final = 14

SUBSCRIPTION_REFUSED: Final = 0x80
# Section 2.2.2: flags that are fixed for these kinds of packet.
_FIXED_FLAGS: Final = {CONNECT: 0, PUBACK: 0, SUBSCRIBE: 2, UNSUBSCRIBE: 2, PINGREQ: 0, DISCONNECT: 0}


class ProtocolError(Exception):
    """The peer broke the protocol, or a limit of this server."""


@dataclass(frozen=True, slots=True)
class Will:
    """What to publish for a client that went without DISCONNECT (section 3.1.2.5)."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True)
class Connect:
    """Section 3.1. keep_alive_s 0 turns the check off; user_name and password are None if absent."""

    protocol_level: int
    clean_session: bool
    keep_alive_s: int
    client_id: str
    will: Will | None
    user_name: str | None
    password: bytes | None


@dataclass(frozen=True, slots=True)
class Publish:
    """Section 3.3. packet_id is 0 at QoS 0."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    duplicate: bool
    packet_id: int


@dataclass(frozen=True, slots=True)
class PubAck:
    """Section 3.4."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Section 3.8. topics: (filter, wanted QoS)."""

    packet_id: int
    topics: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Section 3.10."""

    packet_id: int
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PingRequest:
    """Section 3.12."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Section 3.14."""


Packet = Connect | Publish | PubAck | Subscribe | Unsubscribe | PingRequest | Disconnect


class Decoder:
    """Takes bytes as they come and gives whole packets; keeps at most one incomplete packet between calls.

    packet_bytes_max: limit of the remaining length (2.2.3) of the packets still to come; may be changed at any time.
    """

    def __init__(self, packet_bytes_max: int = PACKET_BYTES_MAX) -> None:
        self.packet_bytes_max = packet_bytes_max
        self._buffer = bytearray()
        self._start = 0

    def feed(self, data: bytes | memoryview) -> None:
        """Take bytes; `packets` gives what they complete."""
        self._buffer += data

    def packets(self) -> Iterator[Packet]:
        """Yield every whole packet, in order; raises ProtocolError when it comes to what is none.

        How the stream was cut by the network makes no difference: what comes before an error is given first.
        """
        while (packet := self.next_packet()) is not None:
            yield packet

    def next_packet(self) -> Packet | None:
        """Return the next whole packet, None if it has not come; raises ProtocolError for what is none."""
        head = self._head(self._start)
        if head is None or head[1] > len(self._buffer):
            del self._buffer[: self._start]
            self._start = 0
            return None
        first_byte, body = self._buffer[self._start], bytes(memoryview(self._buffer)[head[0] : head[1]])
        self._start = head[1]
        return _decode(first_byte, body)

    def take_telemetry(self, prefix: bytes, count_max: int) -> Telemetry | None:
        """Return what comes next if it is plain telemetry (telemetry_scan), None if it is not."""
        if self.packet_bytes_max < PACKET_BYTES_MAX:
            return None
        found = scan(self._buffer, self._start, prefix, count_max)
        if found is not None:
            self._start = found.end
            if self._start == len(self._buffer):
                self._buffer.clear()
                self._start = 0
        return found

    @property
    def held_bytes(self) -> int:
        """How much it keeps."""
        return len(self._buffer)

    @property
    def is_empty(self) -> bool:
        """Whether everything that came has been given."""
        return self._start == len(self._buffer)

    def _head(self, start: int) -> tuple[int, int] | None:
        """Return (start, end) of the body of the packet at `start`, or None if its head is incomplete."""
        length = shift = 0
        at = start + 1
        if start < len(self._buffer):
            _check_first_byte(self._buffer[start])  # at once: garbage may announce a body that never comes
        while at < len(self._buffer):
            byte = self._buffer[at]
            length |= (byte & 0x7F) << shift
            at += 1
            if not byte & 0x80:
                if length > self.packet_bytes_max:
                    raise ProtocolError(f"packet of {length} bytes, limit {self.packet_bytes_max}")
                return at, at + length
            shift += 7
            if shift > 21:
                raise ProtocolError("remaining length of more than four bytes (2.2.3)")
        return None


def _check_first_byte(first_byte: int) -> None:
    kind, flags = first_byte >> 4, first_byte & 0x0F
    if kind == PUBLISH:
        if flags & 6 == 6:
            raise ProtocolError("QoS 3 (3.3.1.2)")
    elif kind not in _FIXED_FLAGS:
        raise ProtocolError(f"a client does not send packets of type {kind}")
    elif flags != _FIXED_FLAGS[kind]:
        raise ProtocolError(f"reserved flags {flags:#x} in a packet of type {kind} (2.2.2)")


def _decode(first_byte: int, body: bytes) -> Packet:
    kind, flags = first_byte >> 4, first_byte & 0x0F
    if kind == PUBLISH:
        return _publish(flags, body)
    fields = _Fields(body)
    packet: Packet
    if kind == CONNECT:
        packet = _connect(fields)
    elif kind == PUBACK:
        packet = PubAck(fields.packet_id())
    elif kind == SUBSCRIBE:
        packet = _subscribe(fields)
    elif kind == UNSUBSCRIBE:
        packet_id = fields.packet_id()
        topics = []
        while fields.remaining:
            topics.append(fields.text())
        if not topics:
            raise ProtocolError("UNSUBSCRIBE without a filter (3.10.3)")
        packet = Unsubscribe(packet_id, tuple(topics))
    elif kind == PINGREQ:
        packet = PingRequest()
    else:
        packet = Disconnect()
    if fields.remaining:
        raise ProtocolError(f"{fields.remaining} bytes too many in a packet of type {kind}")
    return packet


def _connect(fields: _Fields) -> Connect:
    if fields.text() != "MQTT":
        raise ProtocolError("protocol name is not MQTT (3.1.2.1)")
    level = fields.byte()
    flags = fields.byte()
    keep_alive_s = fields.word()
    if level != 4:
        # The rest may look otherwise: the answer is CONNACK 1 all the same (3.1.2.2).
        fields.skip_rest()
        return Connect(level, True, keep_alive_s, "", None, None, None)
    if flags & 1:
        raise ProtocolError("reserved connect flag (3.1.2.3)")
    client_id = fields.text()
    will = None
    will_qos = flags >> 3 & 3
    if flags & 0x04:
        if will_qos == 3:
            raise ProtocolError("will with QoS 3 (3.1.2.6)")
        will = Will(fields.text(), fields.data(), will_qos, bool(flags & 0x20))
    elif flags & 0x38:
        raise ProtocolError("will flags without a will (3.1.2.6)")
    user_name = fields.text() if flags & 0x80 else None
    if flags & 0x40 and user_name is None:
        raise ProtocolError("password without user name (3.1.2.9)")
    password = fields.data() if flags & 0x40 else None
    return Connect(level, bool(flags & 0x02), keep_alive_s, client_id, will, user_name, password)


def _publish(flags: int, body: bytes) -> Publish:
    qos = flags >> 1 & 3
    fields = _Fields(body)
    topic = fields.text()
    if not topic or "+" in topic or "#" in topic:
        raise ProtocolError("topic name empty or with wildcards (3.3.2.1)")
    packet_id = fields.packet_id() if qos else 0
    return Publish(topic, fields.rest(), qos, bool(flags & 1), bool(flags & 8), packet_id)


def _subscribe(fields: _Fields) -> Subscribe:
    packet_id = fields.packet_id()
    topics = []
    while fields.remaining:
        topic, qos = fields.text(), fields.byte()
        if qos > 2:
            raise ProtocolError("requested QoS above 2 (3.8.3)")
        topics.append((topic, qos))
    if not topics:
        raise ProtocolError("SUBSCRIBE without a filter (3.8.3)")
    return Subscribe(packet_id, tuple(topics))


class _Fields:
    """Reads a body from its start; every read past the end is a ProtocolError."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def remaining(self) -> int:
        return len(self._body) - self._at

    def byte(self) -> int:
        return self._take(1)[0]

    def word(self) -> int:
        return int.from_bytes(self._take(2), "big")

    def packet_id(self) -> int:
        packet_id = self.word()
        if not packet_id:
            raise ProtocolError("packet id 0 (2.3.1)")
        return packet_id

    def data(self) -> bytes:
        return self._take(self.word())

    def text(self) -> str:
        try:
            text = self.data().decode()
        except UnicodeDecodeError as error:
            raise ProtocolError("a string is not UTF-8 (1.5.3)") from error
        if "\0" in text:
            raise ProtocolError("a string holds U+0000 (1.5.3)")
        return text

    def rest(self) -> bytes:
        return self._take(self.remaining)

    def skip_rest(self) -> None:
        self._at = len(self._body)

    def _take(self, count: int) -> bytes:
        if count > self.remaining:
            raise ProtocolError("packet too short for what it announces")
        self._at += count
        return self._body[self._at - count : self._at]


def connack(session_present: bool, code: int) -> bytes:
    """CONNACK, section 3.2."""
    return bytes((0x20, 2, session_present, code))


def puback(packet_id: int) -> bytes:
    """PUBACK, section 3.4."""
    return struct.pack(">BBH", 0x40, 2, packet_id)


def suback(packet_id: int, codes: list[int]) -> bytes:
    """SUBACK, section 3.9: a granted QoS or SUBSCRIPTION_REFUSED for each filter."""
    return b"\x90" + _length(2 + len(codes)) + packet_id.to_bytes(2, "big") + bytes(codes)


def unsuback(packet_id: int) -> bytes:
    """UNSUBACK, section 3.11."""
    return struct.pack(">BBH", 0xB0, 2, packet_id)


def pingresp() -> bytes:
    """PINGRESP, section 3.13."""
    return b"\xd0\x00"


def publish(topic: str, payload: bytes, qos: int, duplicate: bool, packet_id: int, retain: bool = False) -> bytes:
    """PUBLISH, section 3.3. packet_id is left out at QoS 0."""
    name = topic.encode()
    head = len(name).to_bytes(2, "big") + name + (packet_id.to_bytes(2, "big") if qos else b"")
    first_byte = PUBLISH << 4 | duplicate << 3 | qos << 1 | retain
    return bytes((first_byte,)) + _length(len(head) + len(payload)) + head + payload


def _length(count: int) -> bytes:
    encoded = bytearray()
    while count > 0x7F:
        encoded.append(count & 0x7F | 0x80)
        count >>= 7
    encoded.append(count)
    return bytes(encoded)
