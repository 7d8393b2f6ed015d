"""The plain case of telemetry, quickly: PUBLISH packets of one device, one behind the other, checked and kept whole.

Nearly everything that a hub is sent is this, and nearly all that it costs is taking it apart: that is left to who
reads it. Whatever is not plain is left to the codec, which knows every rule and what to say about it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# QoS 0 and 1, with or without DUP and RETAIN: everything but the bits of these says so (MQTT 3.1.1 section 3.3.1).
_KIND_MASK: Final = 0xF4
_KIND: Final = 0x30
_QOS_1: Final = 0x02
# In a topic: what no topic name may have (3.3.2.1, 1.5.3), and escapes of bytes that may be no UTF-8.
_NOT_PLAIN: Final = re.compile(rb"[+#\0]|%[89A-Fa-f]|%(?![0-7][0-9A-Fa-f])")
# Beyond this the exact limit of a message has to be looked at.
_PACKET_BYTES_MAX: Final = 32 * 1024
_PUBACK: Final = b"\x40\x02"


@dataclass(frozen=True, slots=True)
class Telemetry:
    """packets: as they came. acknowledgements: their PUBACKs, in order. end: where the next packet begins."""

    packets: bytes
    count: int
    acknowledgements: bytes
    end: int


def scan(buffer: bytearray, start: int, prefix: bytes, count_max: int) -> Telemetry | None:
    """Return the plain packets at `start`, at most `count_max`; None if the first one is not plain, or not whole.

    prefix: the device's topic for telemetry as far as its properties.
    """
    at, end, count = start, len(buffer), 0
    shortest = len(prefix)
    acknowledgements = bytearray()
    while at + 4 < end and count < count_max:
        first = buffer[at]
        length = buffer[at + 1]
        body = at + 2
        if length > 0x7F:
            high = buffer[body]
            body += 1
            if high > 0x7F:
                if buffer[body] > 1:  # 2.2.3: more than 32 KiB
                    break
                high, body = high & 0x7F | buffer[body] << 7, body + 1
            length = length & 0x7F | high << 7
        stop = body + length
        if first & _KIND_MASK != _KIND or stop > end or length > _PACKET_BYTES_MAX:
            break
        topic = body + 2
        topic_bytes = buffer[body] << 8 | buffer[body + 1]
        payload = topic + topic_bytes
        if topic_bytes < shortest or payload + 2 > stop or not buffer.startswith(prefix, topic):
            break
        bag = buffer[topic + shortest : payload]
        if not bag.isascii() or _NOT_PLAIN.search(bag):
            break
        if first & _QOS_1:
            packet_id = buffer[payload : payload + 2]
            if packet_id == b"\0\0":
                break
            acknowledgements += _PUBACK
            acknowledgements += packet_id
        at = stop
        count += 1
    if not count:
        return None
    return Telemetry(bytes(memoryview(buffer)[start:at]), count, bytes(acknowledgements), at)
