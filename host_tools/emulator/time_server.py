"""The time server of a board's network: it tells this machine's time, may be wrong, or silent."""

import struct
import time
from collections.abc import Callable

from host_tools.emulator.udp_server import UdpServer

QUERY_BYTES = 48
_TO_1970_S = 2_208_988_800
_ERA_S = 1 << 32
_SERVER = 0x24  # version 4, mode server


def answer(query: bytes, now_s: float) -> bytes:
    """Return a server's packet for a client's (RFC 5905 section 7.3). now_s: UTC, since 1970."""
    stamp = struct.pack("!II", (int(now_s) + _TO_1970_S) % _ERA_S, int(now_s % 1 * 2**32))
    head = struct.pack("!BBbb", _SERVER, 1, 4, -20) + bytes(8) + b"LOCL"
    # Reference, origin (what the client sent as its own), receive, transmit.
    return head + stamp + query[40:48] + stamp + stamp


class TimeServer(UdpServer):
    """On a free UDP port of 127.0.0.1. off_s: by how much it is wrong, or None while it does not answer."""

    def __init__(self, off_s: Callable[[], float | None]) -> None:
        super().__init__()
        self._off_s = off_s

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        off_s = self._off_s()
        if off_s is not None and len(data) >= QUERY_BYTES:
            self.send(answer(data, time.time() + off_s), addr)
