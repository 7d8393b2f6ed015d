"""The first bytes of a connection say which protocol it speaks; every port of the hub speaks all of them.

0x10 ...       MQTT CONNECT (MQTT 3.1.1 section 3.1)
"AMQP" ...     AMQP 1.0 (OASIS AMQP 1.0 part 2 section 2.2)
"A".."Z" ...   HTTP, and MQTT inside a WebSocket
other          nobody's: MQTT says what is wrong with it
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, cast

from host_tools.hub import budget
from host_tools.hub.amqp.connection import AmqpConnection
from host_tools.hub.mqtt import connection
from host_tools.hub.mqtt.connection import Connection
from host_tools.hub.web.connection import HttpConnection

if TYPE_CHECKING:
    from host_tools.hub.hub import Hub

_AMQP: Final = b"AMQP"

log = logging.getLogger("fieldpost.hub")


class FrontDoor(asyncio.Protocol):
    """Waits for the first bytes, then hands the connection over."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._begun = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._hub.is_open:  # its handshake ended after the hub did
            self.close("the hub stops")
            return
        budget.bound(self._transport)
        self._hub.connections.add(self)
        loop = asyncio.get_running_loop()
        allowed_s = connection.CONNECT_TIMEOUT_S * self._hub.behaviour.patience
        self._timer = loop.call_later(allowed_s, lambda: self.close("nothing came in time", logging.WARNING))

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        self._begun += data
        begun = bytes(self._begun)
        if len(begun) < len(_AMQP) and _AMQP.startswith(begun):
            return  # no method of HTTP begins like this either: the next bytes tell
        transport = self._transport
        self._leave()
        speaker = self._speaker(begun)
        transport.set_protocol(speaker)
        speaker.connection_made(transport)
        speaker.data_received(begun)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def close(self, reason: str, level: int = logging.INFO) -> None:
        """End the connection, once."""
        if self._transport is not None:
            log.log(level, "connection from %s closed: %s", self._transport.get_extra_info("peername"), reason)
            transport = self._transport
            self._leave()
            transport.close()

    @property
    def transport(self) -> Any:
        """For the budget of all connections."""
        return self._transport

    def held_bytes(self) -> int:
        """For the budget of all connections: next to nothing."""
        return budget.in_transport(self._transport)

    def _speaker(self, begun: bytes) -> AmqpConnection | HttpConnection | Connection:
        if begun.startswith(_AMQP):
            return AmqpConnection(self._hub)
        if ord("A") <= begun[0] <= ord("Z"):
            return HttpConnection(self._hub, self._hub.web)
        return Connection(self._hub)

    def _leave(self) -> None:
        self._transport = None
        self._hub.detach(self)
        if self._timer is not None:
            self._timer.cancel()
