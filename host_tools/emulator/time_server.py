"""The time server of a board's network: it tells this machine's time, may be wrong, or silent."""

import asyncio
import struct
import time
from collections.abc import Callable

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


class TimeServer(asyncio.DatagramProtocol):
    """On a free UDP port of 127.0.0.1. off_s: by how much it is wrong, or None while it does not answer."""

    def __init__(self, off_s: Callable[[], float | None]) -> None:
        self._off_s = off_s
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        """Begin to listen at `port`."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))

    def stop(self) -> None:
        """Close."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        off_s = self._off_s()
        if off_s is not None and len(data) >= QUERY_BYTES and self._transport is not None:
            self._transport.sendto(answer(data, time.time() + off_s), addr)
