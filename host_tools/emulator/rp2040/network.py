"""The network behind the emulated access point: every name is the hub's, and the time is this machine's.

So the bench needs no other network, and the firmware none of its settings changed.
Source: RFC 1035 section 4 (messages).
"""

import struct
import time
from collections.abc import Callable

from host_tools.emulator import time_server

DNS_PORT, NTP_PORT = 53, 123
_HEADER = struct.Struct("!HHHHHH")
_TYPE_A, _CLASS_IN = 1, 1
_TTL_S = 60


def answer(port: int, query: bytes, gateway: bytes, clock: Callable[[], float] = time.time) -> bytes | None:
    """Return the answer to a datagram to `port` of anybody, None if there is none. gateway: 4 bytes."""
    if port == DNS_PORT:
        return _dns(query, gateway)
    if port == NTP_PORT and len(query) >= time_server.QUERY_BYTES:
        return time_server.answer(query, clock())
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
