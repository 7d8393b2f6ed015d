"""A relay that makes the way longer: every byte arrives half a round trip late, in both directions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast


class DelayingProxy:
    """Relays TCP connections. round_trip_s: of those bytes that come from now on. sent_bytes: towards the server."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.round_trip_s = 0.0
        self.sent_bytes = 0
        self.port = 0
        self.pairs: set[asyncio.Transport] = set()
        self._upstream = upstream
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self) -> asyncio.Protocol:
        """Return the protocol of a connection that a client opens."""
        return _End(self, None)

    def reach(self, end: _End) -> None:
        """Connect a client's end to the server."""
        task = asyncio.get_running_loop().create_task(self._reach(end))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reach(self, end: _End) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: _End(self, end), *self._upstream)
        except OSError:
            end.lose()


class _End(asyncio.Protocol):
    """One end of a pair. peer: None for a client's until the server's is there."""

    def __init__(self, proxy: DelayingProxy, peer: _End | None) -> None:
        self._proxy = proxy
        self._is_clients = peer is None
        self.peer = peer
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._proxy.pairs.add(self._transport)
        if self.peer is None:
            self._proxy.reach(self)
        else:
            self.peer.peer = self
            for data in self.peer._early:
                self.write(data)

    def data_received(self, data: bytes) -> None:
        if self._is_clients:
            self._proxy.sent_bytes += len(data)
        if self._proxy.round_trip_s:
            asyncio.get_running_loop().call_later(self._proxy.round_trip_s / 2, self._pass_on, data)
        else:
            self._pass_on(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport is not None:
            self._proxy.pairs.discard(self._transport)
        if self.peer is not None:
            asyncio.get_running_loop().call_later(self._proxy.round_trip_s / 2, self.peer.lose)

    def write(self, data: bytes) -> None:
        """Send what the peer received."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def lose(self) -> None:
        """Close, once everything is sent."""
        if self._transport is not None:
            self._transport.close()

    def _pass_on(self, data: bytes) -> None:
        if self.peer is None:
            self._early.append(data)
        else:
            self.peer.write(data)


@contextlib.asynccontextmanager
async def running(host: str, port: int, upstream: tuple[str, int]) -> AsyncIterator[DelayingProxy]:
    """Listen at host and port (0: a free one); connections that are left end with it."""
    proxy = DelayingProxy(upstream)
    server = await asyncio.get_running_loop().create_server(proxy.accept, host, port)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for transport in list(proxy.pairs):
            transport.abort()
        await server.wait_closed()
