"""MQTT inside WebSocket frames: a connection that looks to MQTT like any other.

TLS transport <-- frames -- WebSocketLink -- bytes --> mqtt Connection
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from host_tools.hub.mqtt.connection import Connection
from host_tools.hub.web import websocket
from host_tools.hub.web.message import HttpError, Request, Response

if TYPE_CHECKING:
    from host_tools.hub.hub import Hub

log = logging.getLogger("fieldpost.hub")

# Microsoft, "Communicate with an IoT hub using the MQTT protocol": the path for MQTT over WebSockets.
PATH: Final = ("$iothub", "websocket")
_SUBPROTOCOL: Final = "mqtt"


def handshake(request: Request) -> Response:
    """Return the answer that opens the WebSocket (RFC 6455 section 4.2); HttpError if it cannot be opened."""
    headers = request.headers
    if headers.get("upgrade", "").lower() != "websocket" or "upgrade" not in headers.get("connection", "").lower():
        raise HttpError(426, "only a WebSocket can be opened here")
    offered = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
    key = headers.get("sec-websocket-key")
    if _SUBPROTOCOL not in offered or not key or headers.get("sec-websocket-version") != "13":
        raise HttpError(400, "a WebSocket of version 13 with subprotocol mqtt is expected")
    accepted = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": websocket.accept_key(key),
        "Sec-WebSocket-Protocol": _SUBPROTOCOL,
    }
    return Response(101, b"", accepted)


class WebSocketLink(asyncio.Protocol):
    """Between a TLS transport and an MQTT connection."""

    def __init__(self, hub: Hub, transport: Any) -> None:
        self._transport = transport
        self._decoder = websocket.Decoder(websocket.STRANGERS_FRAME_BYTES_MAX)
        self._mqtt = Connection(hub)
        self._framed = _Framed(transport, self._decoder)
        self._mqtt.connection_made(self._framed)

    def data_received(self, data: bytes) -> None:
        self._decoder.feed(data)
        try:
            for frame in self._decoder.frames():
                self._take(frame)
                if self._mqtt.session is not None:
                    self._decoder.frame_bytes_max = websocket.FRAME_BYTES_MAX
        except websocket.FrameError as error:
            self._framed.close_code = error.code
            self._mqtt.close(f"WebSocket: {error}", logging.WARNING)

    def connection_lost(self, exc: Exception | None) -> None:
        self._mqtt.connection_lost(exc)

    def pause_writing(self) -> None:
        self._mqtt.pause_writing()

    def resume_writing(self) -> None:
        self._mqtt.resume_writing()

    def _take(self, frame: websocket.Frame) -> None:
        if frame.opcode in (websocket.BINARY, websocket.CONTINUATION):
            if frame.data:
                self._mqtt.data_received(frame.data)
        elif frame.opcode == websocket.PING:
            self._transport.write(websocket.frame(websocket.PONG, frame.data))
        elif frame.opcode == websocket.CLOSE:
            self._mqtt.close("WebSocket closed by the peer")


class _Framed(asyncio.Transport):
    """What the MQTT connection writes to. close_code: what the peer is told at the end (RFC 6455 section 7.4.1)."""

    def __init__(self, transport: Any, decoder: websocket.Decoder) -> None:
        super().__init__()
        self._decoder = decoder
        self.close_code = 1000
        self._transport = transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        return int(self._transport.get_write_buffer_size())

    def get_read_buffer_size(self) -> int:
        return int(self._transport.get_read_buffer_size()) + self._decoder.held_bytes

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._transport.write(websocket.frame(websocket.BINARY, bytes(data)))

    def abort(self) -> None:
        self._transport.abort()

    def close(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(websocket.frame(websocket.CLOSE, self.close_code.to_bytes(2, "big")))
        self._transport.close()
