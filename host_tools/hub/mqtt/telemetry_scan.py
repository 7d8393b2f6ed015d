"""The plain case of telemetry, quickly: PUBLISH packets of one device, one behind the other, checked and kept whole.

Nearly everything that a hub is sent is this, and nearly all that it costs is taking it apart: that is left to who
reads it. Whatever is not plain is left to the codec, which knows every rule and what to say about it.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

# QoS 0 and 1, with or without DUP and RETAIN: everything but the bits of these says so (MQTT 3.1.1 section 3.3.1).
_KIND_MASK: Final = 0xF4
_KIND: Final = 0x30
_QOS_1: Final = 0x02
# What no topic name may have (3.3.2.1, 1.5.3), and escapes of what may be no UTF-8.
_FORBIDDEN: Final = (b"+", b"#", b"\0")
_ESCAPE_NOT_PLAIN: Final = re.compile(rb"%(?![0-7][0-9A-Fa-f])")
# Beyond this the exact limit of a message has to be looked at.
_PACKET_BYTES_MAX: Final = 32 * 1024
# Packets with one head that are looked at together.
_RUN_MAX: Final = 32
_PUBACK: Final = b"\x40\x02"
_NO_ID: Final = b"\0\0"


@dataclass(slots=True)
class Telemetry:
    """packets: as they came. acknowledgements: their PUBACKs, in order. end: where the next packet begins.

    head, size: what the last one begins with as far as its topic goes, and its bytes in all.
    """

    packets: bytes
    count: int
    acknowledgements: bytes
    end: int
    head: bytes
    size: int


class Repeated:
    """What begins like packets that were found plain, and is as long, is as good as they were.

    Devices mostly send such: what one read of the socket brings is then looked at as a whole.
    """

    __slots__ = ("_behind", "_has_id", "_size", "head")

    def __init__(self, head: bytes, size: int) -> None:
        self.head = head
        self._size = size
        self._behind = size - len(head) - 2
        self._has_id = head[0] & _QOS_1

    def take(self, data: bytes | memoryview) -> tuple[int, bytes] | None:
        """Return (number of packets, their PUBACKs) if `data` is a few whole packets with this head, or else None."""
        head = self.head
        count, rest = divmod(len(data), self._size)
        if rest or not 0 < count <= _RUN_MAX:
            return None
        fields = _form(len(head), self._behind, count).unpack(data)
        if fields[::2].count(head) != count:
            return None
        if not self._has_id:
            return count, b""
        ids = fields[1::2]
        return None if _NO_ID in ids else (count, _PUBACK + _PUBACK.join(ids))


@lru_cache(maxsize=256)
def _form(head: int, behind: int, count: int) -> struct.Struct:
    """`count` times head, two bytes (a packet id at QoS 1), what is behind them."""
    return struct.Struct(f"{head}s2s{behind}x" * count)


def scan(buffer: bytearray, start: int, prefix: bytes, count_max: int) -> Telemetry | None:
    """Return the plain packets at `start`, at most `count_max`; None if the first one is not plain, or not whole.

    prefix: the device's topic for telemetry as far as its properties.
    """
    at, end = start, len(buffer)
    shortest = len(prefix)
    count = size = has_id = 0
    head = b""
    bags: list[bytearray] = []
    packet_ids: list[bytes | bytearray] = [b""]
    while at + 4 < end and count < count_max:
        if count and buffer.startswith(head, at):
            ids = _same(buffer, at, head, size, min((end - at) // size, count_max - count, _RUN_MAX))
            if has_id:
                if _NO_ID in ids:
                    ids = ids[: ids.index(_NO_ID)]
                packet_ids += ids
            if not ids:
                break
            count += len(ids)
            at += len(ids) * size
            continue
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
        payload = topic + (buffer[body] << 8 | buffer[body + 1])
        if payload < topic + shortest or payload + 2 > stop or not buffer.startswith(prefix, topic):
            break
        has_id = first & _QOS_1
        if has_id:
            packet_id = buffer[payload : payload + 2]
            if packet_id == _NO_ID:
                break
            packet_ids.append(packet_id)
        bags.append(buffer[topic + shortest : payload])
        head, size = bytes(buffer[at:payload]), stop - at
        count += 1
        at = stop
    if not count:
        return None
    # All at once, which costs little more than one of them.
    if not _are_plain(b"&".join(bags)):
        return scan(buffer, start, prefix, 1) if count > 1 else None
    return Telemetry(bytes(memoryview(buffer)[start:at]), count, _PUBACK.join(packet_ids), at, head, size)


def _same(buffer: bytearray, at: int, head: bytes, size: int, count: int) -> tuple[bytes, ...]:
    """Return the two bytes behind the head of each packet at `at` that begins with this head, at most `count` of them.

    A head holds lengths and topic: these packets are as good as the first of them. Devices mostly send such.
    """
    if not count:
        return ()
    form = f"{len(head)}s2s{size - len(head) - 2}x"
    heads, behind = zip(*struct.iter_unpack(form, buffer[at : at + count * size]), strict=True)
    if heads.count(head) < count:
        count = next(index for index, other in enumerate(heads) if other != head)
    return behind[:count]


def _are_plain(bags: bytes) -> bool:
    return (
        bags.isascii()
        and not any(forbidden in bags for forbidden in _FORBIDDEN)
        and (b"%" not in bags or _ESCAPE_NOT_PLAIN.search(bags) is None)
    )
