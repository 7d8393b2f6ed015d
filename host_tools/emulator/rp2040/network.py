"""The network behind the emulated access point: every name is the hub's, and the time is this machine's.

So the bench needs no other network, and the firmware none of its settings changed.
Sources: RFC 1035 section 4 (messages), RFC 5905 section 7.3 (SNTP header).
"""

import struct
import time
from collections.abc import Callable

DNS_PORT, NTP_PORT = 53, 123
_HEADER = struct.Struct("!HHHHHH")
_TYPE_A, _CLASS_IN = 1, 1
_TTL_S = 60
_NTP_EPOCH_S = 2_208_988_800
_NTP_SERVER = 0x24  # version 4, mode server


def answer(port: int, query: bytes, gateway: bytes, clock: Callable[[], float] = time.time) -> bytes | None:
    """Return the answer to a datagram to `port` of anybody, None if there is none. gateway: 4 bytes."""
    if port == DNS_PORT:
        return _dns(query, gateway)
    if port == NTP_PORT and len(query) >= 48:
        return _ntp(query, clock())
    return None


def _dns(query: bytes, gateway: bytes) -> bytes | None:
    if len(query) < _HEADER.size:
        return None
    number, flags, questions, _, _, _ = _HEADER.unpack_from(query)
    if flags & 0x8000 or questions != 1:
        return None
    end = query.find(b"\0", _HEADER.size) + 5  # behind the name: type and class
    if end < _HEADER.size + 5 or end > len(query):
        return None
    kind, group = struct.unpack("!HH", query[end - 4 : end])
    found = kind == _TYPE_A and group == _CLASS_IN
    head = _HEADER.pack(number, 0x8180, 1, int(found), 0, 0)
    # The name is where the question has it, at offset 12.
    record = struct.pack("!HHHIH", 0xC00C, _TYPE_A, _CLASS_IN, _TTL_S, 4) + gateway
    return head + query[_HEADER.size : end] + (record if found else b"")


def _ntp(query: bytes, now_s: float) -> bytes:
    stamp = struct.pack("!II", int(now_s) + _NTP_EPOCH_S, int(now_s % 1 * 2**32))
    head = struct.pack("!BBbb", _NTP_SERVER, 1, 4, -20) + bytes(8) + b"LOCL"
    # Reference, origin (what the client sent as its own), receive, transmit.
    return head + stamp + query[40:48] + stamp + stamp
