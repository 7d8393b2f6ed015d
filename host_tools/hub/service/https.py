"""What the hub's own ports answer over HTTPS: IoT Hub's service API, and below /admin and / the one for people."""

from __future__ import annotations

from host_tools.hub.service.admin import AdminApi
from host_tools.hub.service.rest import ServiceApi
from host_tools.hub.web.message import Request, Response


class HttpsApi:
    """Chooses by the path. IoT Hub's own paths are none of those."""

    def __init__(self, service: ServiceApi, admin: AdminApi) -> None:
        self._service = service
        self._admin = admin

    async def answer(self, request: Request) -> Response:
        """Act on a request; HttpError if it cannot be."""
        return await self._chosen(request).answer(request)

    def is_known(self, request: Request) -> bool:
        """Whether the request holds a token of the one that it is for."""
        return self._chosen(request).is_known(request)

    def _chosen(self, request: Request) -> ServiceApi | AdminApi:
        return self._admin if self._admin.is_for_it(request) else self._service
