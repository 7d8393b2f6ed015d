"""The hub for people and scripts: HTTP and JSON, opened by a token in a file of mode 0600.

Plain HTTP on loopback, where no certificate stands between a person and the page; below /admin also on every port of
the hub, with TLS.

    GET    /hub                          where it listens and how to connect
    GET    /devices                      PUT, GET, PATCH, DELETE /devices/ID
    POST   /devices/ID/commands          {"body" | "body_base64", "properties", "system", "message_id", "ttl_s"}
    GET    /devices/ID/commands          how many wait; DELETE: purge them
    POST   /devices/ID/methods/NAME      {"payload", "timeout_s", "connect_timeout_s"} -> {"status", "payload"}
    GET    /devices/ID/twin              PATCH, PUT: {"tags", "properties": {"desired"}}
    POST   /devices/ID/disconnect
    GET    /messages?after=N&device=ID&limit=N       as many as fit into 4 MB
    GET    /feedback                     DELETE /feedback?through=N: they have been dealt with
    PUT    /enrollments/individual/ID    or group/ID: the fields of Enrollment; GET /enrollments; DELETE
    PUT    /authorities/NAME             {"pem"}; GET /authorities; DELETE /authorities/NAME

Bearer authorization, and no page of another site (web/same_origin.py). An error is {"message": one sentence that says
what to do}. Port and token stay the same from run to run, as far as the port is free: a page that is open goes on.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import dataclasses
import hmac
import itertools
import json
import logging
import os
import secrets
from typing import TYPE_CHECKING, Any, Final, Protocol

from host_tools.errors import UserError
from host_tools.hub.devices import methods
from host_tools.hub.devices.merge_patch import DocumentRefused
from host_tools.hub.service import documents
from host_tools.hub.service.api_file import FILE_NAME
from host_tools.hub.service.message_text import as_json
from host_tools.hub.throttle import Throttled
from host_tools.hub.web import same_origin
from host_tools.hub.web.connection import HttpConnection
from host_tools.hub.web.message import HttpError, Request, Response

if TYPE_CHECKING:
    from host_tools.hub.hub import Hub

log = logging.getLogger("fieldpost.hub")

MESSAGES_MAX: Final = 1000
# Of the bodies in one answer; one message is given however long it is.
_MESSAGES_BYTES_MAX: Final = 4 * 1024 * 1024
PREFIX: Final = "admin"
_SETTING_PORT: Final = "admin_port"
_SETTING_TOKEN: Final = "admin_token"
# What the hub answers is no page and is not kept.
_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


class Page(Protocol):
    """A page for people, which asks this API."""

    def file(self, request: Request) -> Response | None:
        """Return one of its files, which hold no secret; None if the request is not for one."""

    async def view(self, request: Request) -> Response:
        """Answer what is below /view; HttpError if that cannot be."""

    def close(self) -> None:
        """It is not asked any more."""


class AdminApi:
    """Serves the API on a port of 127.0.0.1, and says in api.json where."""

    def __init__(self, hub: Hub, page: Page | None = None) -> None:
        self._hub = hub
        self._page = page
        self._token = hub.settings.get_or_make(_SETTING_TOKEN, lambda: secrets.token_urlsafe(32))
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen, and write the file. The hub is started."""
        self._server = await self._listen(int(self._hub.settings.get(_SETTING_PORT, "0")))
        port = self._server.sockets[0].getsockname()[1]
        self._hub.settings.set(_SETTING_PORT, str(port))
        path = self._hub.directory / FILE_NAME
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({"url": f"http://127.0.0.1:{port}", "token": self._token}, file)

    async def stop(self) -> None:
        """Take the file away, and listen no more; the hub closes the connections."""
        if self._server is not None:
            (self._hub.directory / FILE_NAME).unlink(missing_ok=True)
            self._server.close()
        if self._page is not None:
            self._page.close()

    def is_for_it(self, request: Request) -> bool:
        """Whether a request that came to a port of many services is for this one."""
        return request.path[:1] == (PREFIX,) or (self._page is not None and self._page.file(request) is not None)

    async def answer(self, request: Request) -> Response:
        """Act on a request; HttpError if it cannot be."""
        names = (self._hub.hostname.lower(),)
        same_origin.check_host(request, names)
        # A link to the page may stand anywhere; nobody else may use its files, for their headers say so.
        if self._page is not None and (file := self._page.file(request)) is not None:
            return file
        same_origin.check(request, names)
        if not self.is_known(request):
            raise HttpError(401, f"the token of {FILE_NAME} in the hub's folder is expected as Bearer authorization")
        try:
            response = await self._route(request)
        except methods.MethodFailed as error:
            status = error.code // 1000
            response = Response.of_json({"message": str(error), "code": error.code, "name": error.name}, status)
        except Throttled as error:
            raise HttpError(429, str(error)) from error
        except (UserError, DocumentRefused) as error:
            raise HttpError(400, str(error)) from error
        response.headers.update(_HEADERS)
        return response

    async def _listen(self, port: int) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(lambda: HttpConnection(self._hub, self), "127.0.0.1", port)
        except OSError:  # somebody else has it now
            return await loop.create_server(lambda: HttpConnection(self._hub, self), "127.0.0.1", 0)

    def is_known(self, request: Request) -> bool:
        """Whether the request holds the token."""
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), self._token.encode())

    async def _route(self, request: Request) -> Response:
        hub = self._hub
        path = request.path[1:] if request.path[:1] == (PREFIX,) else request.path
        match request.method, *path:
            case "GET", "view", *rest if self._page is not None:
                return await self._page.view(dataclasses.replace(request, path=tuple(rest)))
            case "GET", "hub":
                return Response.of_json(self._about())
            case "GET", "devices":
                return Response.of_json([documents.device(hub, device) for device in hub.devices.list()])
            case "GET", "messages":
                return Response.of_json(self._messages(request))
            case "GET", "feedback":
                batch = hub.feedback.batch(_integer(request, "after", 0))
                return Response.of_json(
                    {"records": batch.records if batch else [], "through": batch.through if batch else 0}
                )
            case "DELETE", "feedback":
                hub.feedback.complete(0, _integer(request, "through", 0))
                return Response(204)
            case "GET", "enrollments":
                return Response.of_json([dataclasses.asdict(one) for one in hub.provisioning.enrollments.all()])
            case "PUT", "enrollments", kind, name:
                made = hub.provisioning.enrollments.put(kind, name, _object(request))
                return Response.of_json({**dataclasses.asdict(made), "id_scope": hub.provisioning.id_scope})
            case "DELETE", "enrollments", kind, name:
                hub.provisioning.enrollments.remove(kind, name)
                return Response(204)
            case "GET", "authorities":
                return Response.of_json(hub.authorities.names())
            case "PUT", "authorities", name:
                hub.authorities.add(name, str(_object(request).get("pem", "")))
                return Response(204)
            case "DELETE", "authorities", name:
                hub.authorities.remove(name)
                return Response(204)
            case "PUT", "devices", device_id:
                attributes = documents.attributes(_object(request) if request.body else {})
                return Response.of_json(documents.device(hub, hub.devices.create(device_id, **attributes)))
            case _, "devices", device_id, *rest:
                if hub.devices.get(device_id) is None:
                    known = ", ".join(device.id for device in hub.devices.list()[:10]) or "none yet"
                    raise HttpError(404, f"the hub knows no device {device_id!r}; it knows: {known}")
                return await self._device(request, device_id, rest)
        raise HttpError(404, f"there is no {request.method} /{'/'.join(request.path)[:100]}")

    async def _device(self, request: Request, device_id: str, rest: list[str]) -> Response:
        hub = self._hub
        match request.method, *rest:
            case ("GET",):
                device = hub.devices.get(device_id)
                assert device is not None
                return Response.of_json(documents.device(hub, device))
            case ("PATCH",):
                changed = hub.devices.update(device_id, **documents.attributes(_object(request)))
                if not changed.is_enabled:
                    hub.disconnect(device_id, "the device was disabled")
                return Response.of_json(documents.device(hub, changed))
            case ("DELETE",):
                hub.delete_device(device_id)
                return Response(204)
            case "POST", "disconnect":
                hub.disconnect(device_id)
                return Response(204)
            case "POST", "commands":
                return Response.of_json({"message_id": await self._send(device_id, _object(request))})
            case "GET", "commands":
                return Response.of_json({"pending": hub.pending(device_id)})
            case "DELETE", "commands":
                return Response.of_json({"purged": hub.command_queue(device_id).purge()})
            case "POST", "methods", name:
                return Response.of_json(await self._invoke(device_id, name, _object(request)))
            case "GET", "twin":
                return Response.of_json(documents.twin(hub, device_id))
            case ("PATCH" | "PUT") as verb, "twin":
                given = _object(request)
                properties = given.get("properties") or {}
                if not isinstance(properties, dict):
                    raise HttpError(400, 'properties are an object: {"desired": {...}}')
                desired = properties.get("desired")
                await hub.change_twin(device_id, given.get("tags"), desired, verb == "PUT")
                return Response.of_json(documents.twin(hub, device_id))
        raise HttpError(404, f"there is no {request.method} /{'/'.join(request.path)[:100]}")

    def _about(self) -> dict[str, Any]:
        hub = self._hub
        https = next(iter(hub.ports[1:]), hub.port)
        return {
            "hostname": hub.hostname,
            "ports": hub.ports,
            "ca_file": str(hub.ca_file.resolve()),
            "id_scope": hub.provisioning.id_scope,
            "service_connection_string": hub.policies.connection_string(
                hub.hostname if https == 443 else f"{hub.hostname}:{https}"
            ),
            "events_connection_string": hub.policies.events_connection_string(hub.hostname),
            "last_sequence": hub.last_sequence,
            "devices": len(hub.devices),
            "connected": len(hub.presence),
        }

    def _messages(self, request: Request) -> list[dict[str, Any]]:
        found = self._hub.messages(request.query.get("device"), _integer(request, "after", 0))
        limit = min(MESSAGES_MAX, _integer(request, "limit", MESSAGES_MAX))
        given, size = [], 0
        for message in itertools.islice(found, limit):
            given.append(as_json(message))
            size += len(message.body)
            if size > _MESSAGES_BYTES_MAX:
                break
        return given

    async def _send(self, device_id: str, given: dict[str, Any]) -> str:
        try:
            body = (
                base64.b64decode(given["body_base64"], validate=True)
                if "body_base64" in given
                else str(given.get("body", "")).encode()
            )
        except (binascii.Error, TypeError, UnicodeEncodeError) as error:
            raise HttpError(400, f"the body is no text and no base64: {error}") from error
        properties, system = given.get("properties", {}), given.get("system", {})
        for texts in (properties, system):
            if not isinstance(texts, dict) or not all(isinstance(value, str) for value in texts.values()):
                raise HttpError(400, "properties are an object of texts")
        message_id = given.get("message_id")
        if not isinstance(message_id, str | None):
            raise HttpError(400, "message_id is to be a text")
        ttl_s = given.get("ttl_s")
        expiry = None if ttl_s is None else self._hub.clock() + _number(ttl_s, "ttl_s")
        return await self._hub.send(device_id, body, properties, message_id, expiry, system)

    async def _invoke(self, device_id: str, name: str, given: dict[str, Any]) -> dict[str, Any]:
        payload = b"" if given.get("payload") is None else json.dumps(given["payload"]).encode()
        status, answer = await self._hub.invoke_method(
            device_id,
            name,
            payload,
            _number(given.get("timeout_s", methods.RESPONSE_TIMEOUT_S), "timeout_s"),
            _number(given.get("connect_timeout_s", 0), "connect_timeout_s"),
        )
        return {"status": status, "payload": json.loads(answer) if answer.strip() else None}


def _object(request: Request) -> dict[str, Any]:
    given = request.json()
    if not isinstance(given, dict):
        raise HttpError(400, "the body is to be a JSON object")
    return given


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise HttpError(400, f"{name} is to be a number")
    return float(value)


def _integer(request: Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise HttpError(400, f"{name} is to be a whole number")
    return int(text)
