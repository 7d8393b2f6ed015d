"""One HTTP connection: requests one after the other, answered by an api; or the way to a WebSocket."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from host_tools.hub import budget
from host_tools.hub.web import mqtt_upgrade
from host_tools.hub.web.message import Decoder, HttpError, Request, Response

if TYPE_CHECKING:
    from host_tools.hub.hub import Hub

log = logging.getLogger("fieldpost.hub")

_IDLE_S: Final = 120.0
_REQUEST_S: Final = 30.0
# Requests that wait behind one that is being answered; beyond that the socket is not read.
_WAITING_MAX: Final = 16


class Api(Protocol):
    """What is behind a connection."""

    async def answer(self, request: Request) -> Response:
        """Make the response; HttpError of it becomes one, any other exception 500."""

    def is_known(self, request: Request) -> bool:
        """Whether the head of a request holds a good token."""


class HttpConnection(asyncio.Protocol):
    """One peer's requests to an api."""

    def __init__(self, hub: Hub, api: Api) -> None:
        self._hub = hub
        self._api = api
        self._decoder = Decoder(api.is_known)
        self._transport: asyncio.Transport | None = None
        self._peer = "?"
        self._waiting: list[Request] = []
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._can_write = asyncio.Event()
        self._can_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._peer = str(transport.get_extra_info("peername"))
        self._hub.connections.add(self)
        self._set_timer(_REQUEST_S, logging.WARNING)

    def data_received(self, data: bytes) -> None:
        self._decoder.feed(data)
        try:
            for request in self._decoder.requests():
                if request.path == mqtt_upgrade.PATH:
                    self._upgrade(request)
                    return
                self._waiting.append(request)
        except HttpError as error:
            self._refuse(error)
            return
        if self._decoder.held_bytes > budget.LARGE_BYTES or len(self._waiting) > 1:
            self._hub.budget.look_soon()
        if self._waiting and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())
        if len(self._waiting) > _WAITING_MAX and self._transport is not None:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._can_write.clear()
        self._hub.budget.look_soon()

    def resume_writing(self) -> None:
        self._can_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.close("lost")

    @property
    def transport(self) -> Any:
        """For the budget of all connections."""
        return self._transport

    def held_bytes(self) -> int:
        """For the budget of all connections: requests that are not answered, and answers that are not read."""
        waiting = sum(len(request.body) for request in self._waiting)
        return self._decoder.held_bytes + waiting + budget.in_transport(self._transport)

    def close(self, reason: str, level: int = logging.DEBUG) -> None:
        """End the connection, once."""
        if self._transport is None:
            return
        log.log(level, "HTTP connection from %s closed: %s", self._peer, reason)
        transport, self._transport = self._transport, None
        self._hub.detach(self)
        self._can_write.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        transport.close()

    async def _work(self) -> None:
        while self._waiting and self._transport is not None:
            if self._timer is not None:
                self._timer.cancel()
            request = self._waiting.pop(0)
            response = await self._response(request)
            if not self._can_write.is_set():
                self._set_timer(_REQUEST_S, logging.WARNING, "the answers are not read")
                await self._can_write.wait()
            if self._transport is None:
                return
            self._transport.write(response.as_bytes(request.keeps_alive))
            if not request.keeps_alive:
                self.close("as the client asked")
                return
            self._transport.resume_reading()
        self._task = None
        self._set_timer(_IDLE_S)

    async def _response(self, request: Request) -> Response:
        try:
            return await self._api.answer(request)
        except HttpError as error:
            return Response.of_json({"message": str(error)}, error.status)
        except Exception:
            log.exception("%s %s failed", request.method, "/".join(request.path)[:200])
            return Response.of_json({"message": "the hub has a bug; its log says more"}, 500)

    def _refuse(self, error: HttpError) -> None:
        if self._transport is not None:
            log.warning("HTTP request from %s refused with %d: %s", self._peer, error.status, error)
            self._transport.write(Response.of_json({"message": str(error)}, error.status).as_bytes(False))
            self.close(str(error))

    def _upgrade(self, request: Request) -> None:
        try:
            response = mqtt_upgrade.handshake(request)
        except HttpError as error:
            self._refuse(error)
            return
        assert self._transport is not None
        transport, self._transport = self._transport, None
        if self._timer is not None:
            self._timer.cancel()
        self._hub.detach(self)
        transport.write(response.as_bytes(True))
        link = mqtt_upgrade.WebSocketLink(self._hub, transport)
        transport.set_protocol(link)
        rest = self._decoder.rest()
        if rest:
            link.data_received(rest)

    def _set_timer(self, seconds: float, level: int = logging.DEBUG, reason: str = "no request in time") -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            loop: Any = asyncio.get_running_loop()
            self._timer = loop.call_later(seconds, lambda: self.close(reason, level))
