from __future__ import annotations

from typing import TYPE_CHECKING

from host_tools.hub.web.message import HttpError, Request, Response

if TYPE_CHECKING:
    from host_tools.hub.hub import Hub


class ServiceApi:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def answer(self, request: Request) -> Response:
        raise HttpError(404, "no such resource")
