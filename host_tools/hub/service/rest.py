"""IoT Hub's HTTPS service API, as far as back ends use it: identities, twins, methods, command queues, feedback.

Microsoft, "IoT Hub service REST API" and "IoT Hub API common error codes". Each call needs a token of a shared
access policy.
"""

from __future__ import annotations

import json
import logging
import uuid
from typing import TYPE_CHECKING, Any, Final

from host_tools.errors import UserError
from host_tools.hub import sas, strict_json
from host_tools.hub.devices import feedback, methods
from host_tools.hub.devices.merge_patch import DocumentRefused
from host_tools.hub.devices.registry import Device
from host_tools.hub.devices.twins import iso_time
from host_tools.hub.service import documents
from host_tools.hub.throttle import Kind, Throttled
from host_tools.hub.web.message import HttpError, Request, Response

if TYPE_CHECKING:
    from host_tools.hub.hub import Hub

log = logging.getLogger("fieldpost.hub")

LIST_MAX: Final = 1000
_QUERY: Final = "select * from devices"


class ServiceError(Exception):
    """IoT Hub's answer to what it refuses: HTTP status, its error code and name."""

    def __init__(self, code: int, name: str, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.name = name
        self.status = status or code // 1000


class ServiceApi:
    """Answers requests for a hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def answer(self, request: Request) -> Response:
        """Act on a request; never raises but HttpError."""
        try:
            return await self._route(request)
        except ServiceError as error:
            return self._refusal(request, error)
        except sas.SasRefused as error:
            return self._refusal(request, ServiceError(401002, "IotHubUnauthorizedAccess", str(error)))
        except Throttled as error:
            name = "ThrottlingException" if error.code == 429001 else "IotHubQuotaExceeded"
            return self._refusal(request, ServiceError(error.code, name, str(error)))
        except methods.MethodFailed as error:
            return self._refusal(request, ServiceError(error.code, error.name, str(error)))
        except (UserError, DocumentRefused) as error:
            return self._refusal(request, ServiceError(400004, "ArgumentInvalid", str(error)))

    def is_known(self, request: Request) -> bool:
        """Whether the request holds a token of one of the policies."""
        return self._hub.policies.is_known(request.headers.get("authorization", ""))

    async def _route(self, request: Request) -> Response:
        path = [segment.lower() if index == 0 else segment for index, segment in enumerate(request.path)]
        match request.method, *path:
            case "GET", "devices":
                self._needs(request, "RegistryRead")
                return Response.of_json([documents.device(self._hub, one) for one in self._top(request)])
            case "POST", "devices":
                self._needs(request, "RegistryWrite", Kind.REGISTRY)
                return self._bulk(request)
            case "POST", "devices", "query":
                self._needs(request, "RegistryRead")
                return self._query(request)
            case (_, "devices", device_id):
                return self._device(request, device_id)
            case "DELETE", "devices", device_id, "commands":
                self._needs(request, "ServiceConnect")
                self._known(device_id)
                purged = self._hub.command_queue(device_id).purge()
                return Response.of_json({"totalMessagesPurged": purged, "deviceId": device_id, "moduleId": None})
            case (_, "twins", device_id):
                return await self._twin(request, device_id)
            case "POST", "twins", device_id, "methods":
                self._needs(request, "ServiceConnect")
                return await self._method(request, device_id)
            case (_, "messages", *rest) if [part.lower() for part in rest[:2]] == ["servicebound", "feedback"]:
                self._needs(request, "ServiceConnect")
                return self._feedback(request, rest[2:])
            case "GET", "statistics", "devices":
                self._needs(request, "RegistryRead")
                devices = self._hub.devices.list()
                enabled = sum(device.is_enabled for device in devices)
                counts = {"totalDeviceCount": len(devices), "enabledDeviceCount": enabled}
                return Response.of_json({**counts, "disabledDeviceCount": len(devices) - enabled})
            case "GET", "statistics", "service":
                self._needs(request, "RegistryRead")
                return Response.of_json({"connectedDeviceCount": len(self._hub.presence)})
            case (_, "devices" | "twins", _, "modules", *_) | (_, "configurations" | "jobs" | "digitaltwins", *_):
                self._needs(request, "RegistryRead")
                raise ServiceError(501001, "NotImplemented", "the local hub does not have that (docs/hub.md)")
        raise ServiceError(404000, "GenericNotFound", f"there is no {request.method} /{'/'.join(request.path)[:100]}")

    # --- identities ---

    def _device(self, request: Request, device_id: str) -> Response:
        hub = self._hub
        self._needs(request, "RegistryRead" if request.method == "GET" else "RegistryWrite", Kind.REGISTRY)
        known = hub.devices.get(device_id)
        if request.method == "PUT":
            document = _object(request)
            if known is None:
                if "if-match" in request.headers:
                    raise ServiceError(404001, "DeviceNotFound", f"Device {device_id} not registered")
                made = hub.devices.create(device_id, **documents.attributes(document))
                return Response.of_json(documents.device(hub, made))
            if "if-match" not in request.headers:
                raise _exists(device_id)
            _match(request, known.etag)
            changed = hub.devices.update(device_id, **documents.attributes(document))
            if not changed.is_enabled:
                hub.disconnect(device_id, "the device was disabled")
            return Response.of_json(documents.device(hub, changed))
        known = self._known(device_id)
        if request.method == "GET":
            return Response.of_json(documents.device(hub, known), ETag=f'"{known.etag}"')
        if request.method == "DELETE":
            _match(request, known.etag)
            hub.delete_device(device_id)
            return Response(204)
        raise HttpError(405, "use GET, PUT or DELETE")

    def _bulk(self, request: Request) -> Response:
        """Create, update or delete up to 100 identities; each is done or refused for itself."""
        entries = request.json()
        if not isinstance(entries, list) or len(entries) > 100:
            raise ServiceError(400004, "ArgumentInvalid", "a list of at most 100 identities is expected")
        errors = []
        for entry in entries:
            name = entry.get("id") if isinstance(entry, dict) else None
            try:
                if not isinstance(name, str):
                    raise UserError("every entry is an object with an id")
                self._import(name, entry)
            except (ServiceError, UserError) as error:
                code = error.name if isinstance(error, ServiceError) else "ArgumentInvalid"
                errors.append({"deviceId": name, "errorCode": code, "errorStatus": str(error)})
        result = {"isSuccessful": not errors, "errors": errors, "warnings": []}
        return Response.of_json(result, 400 if errors else 200)

    def _import(self, device_id: str, entry: dict[str, Any]) -> None:
        devices, mode = self._hub.devices, str(entry.get("importMode", "createOrUpdate")).lower()
        is_known = devices.get(device_id) is not None
        if mode in ("delete", "deleteifmatchetag"):
            self._known(device_id)
            self._hub.delete_device(device_id)
        elif mode == "create" and is_known:
            raise _exists(device_id)
        elif is_known:
            devices.update(device_id, **documents.attributes(entry))
        elif mode in ("update", "updateifmatchetag"):
            self._known(device_id)
        else:
            devices.create(device_id, **documents.attributes(entry))

    def _query(self, request: Request) -> Response:
        text = " ".join(str(_object(request).get("query", "")).lower().split())
        if text != _QUERY:
            raise ServiceError(400004, "ArgumentInvalid", f"the local hub answers one query: {_QUERY}")
        ids = [device.id for device in self._hub.devices.list()]
        start = request.headers.get("x-ms-continuation", "")
        size = request.headers.get("x-ms-max-item-count", "100")
        count = min(max(int(size), 1), LIST_MAX) if size.isascii() and size.isdigit() and len(size) < 9 else 100
        page = [device_id for device_id in ids if device_id > start][:count]
        headers = {"x-ms-item-type": "Twin"}
        if page and page[-1] != ids[-1]:
            headers["x-ms-continuation"] = page[-1]
        response = Response.of_json([documents.twin(self._hub, device_id) for device_id in page])
        response.headers |= headers
        return response

    def _top(self, request: Request) -> list[Device]:
        top = request.query.get("top", str(LIST_MAX))
        if not (top.isascii() and top.isdigit()) or len(top) > 9:
            raise ServiceError(400004, "ArgumentInvalid", "top is to be a whole number")
        return self._hub.devices.list()[: min(int(top), LIST_MAX)]

    # --- twins, methods, feedback ---

    async def _twin(self, request: Request, device_id: str) -> Response:
        self._needs(request, "ServiceConnect", Kind.TWIN_READS if request.method == "GET" else Kind.TWIN_UPDATES)
        self._known(device_id)
        if request.method in ("PATCH", "PUT"):
            _match(request, documents.twin_etag(self._hub.twins.get(device_id)))
            given, is_replaced = _object(request), request.method == "PUT"
            properties = given.get("properties")
            desired = properties.get("desired") if isinstance(properties, dict) else None
            tags = given.get("tags")
            if is_replaced:
                tags, desired = tags or {}, desired or {}
            await self._hub.change_twin(device_id, tags, desired, is_replaced)
        elif request.method != "GET":
            raise HttpError(405, "use GET, PATCH or PUT")
        found = documents.twin(self._hub, device_id)
        return Response.of_json(found, ETag=f'"{found["etag"]}"')

    async def _method(self, request: Request, device_id: str) -> Response:
        self._known(device_id)
        given = _object(request)
        payload = b"" if given.get("payload") is None else json.dumps(given["payload"]).encode()
        if not self._hub.throttle.allows(Kind.METHOD_BYTES, max(4096, len(payload))):
            raise Throttled(429001, "throttled: too many bytes of direct methods")
        response_timeout_s = given.get("responseTimeoutInSeconds") or methods.RESPONSE_TIMEOUT_S
        connect_timeout_s = given.get("connectTimeoutInSeconds") or 0
        for seconds in (response_timeout_s, connect_timeout_s):
            if isinstance(seconds, bool) or not isinstance(seconds, int | float):
                raise ServiceError(400004, "ArgumentInvalid", "timeouts are numbers of seconds")
        name = given.get("methodName")
        if not isinstance(name, str):
            raise ServiceError(400004, "ArgumentInvalid", "methodName is missing")
        status, answer = await self._hub.invoke_method(device_id, name, payload, response_timeout_s, connect_timeout_s)
        return Response.of_json({"status": status, "payload": json.loads(answer) if answer.strip() else None})

    def _feedback(self, request: Request, rest: list[str]) -> Response:
        """One batch at a time; its lock token is the range of its sequence numbers."""
        waiting = self._hub.feedback
        if request.method == "GET" and not rest:
            batch = waiting.batch()
            if batch is None:
                return Response(204)
            headers = {"Content-Type": feedback.CONTENT_TYPE, "ETag": f'"{batch.through}"'}
            return Response(200, batch.body, headers)
        if request.method == "DELETE" and len(rest) == 1:
            token = rest[0].strip('"')
            if not (token.isascii() and token.isdigit()) or len(token) > 18:
                raise ServiceError(412002, "DeviceMessageLockLost", "no such lock")
            waiting.complete(0, int(token))
            return Response(204)
        if request.method == "POST" and rest[1:] == ["abandon"]:
            return Response(204)
        raise HttpError(405, "use GET, or DELETE with a lock token")

    # --- common ---

    def _needs(self, request: Request, permission: str, kind: Kind | None = None) -> None:
        """Raise SasRefused unless the request's token gives the permission, Throttled beyond the tier's limits."""
        self._hub.policies.check(request.headers.get("authorization", ""), permission)
        if kind is not None:
            self._hub.throttle.take(kind)

    def _known(self, device_id: str) -> Device:
        device = self._hub.devices.get(device_id)
        if device is None:
            raise ServiceError(404001, "DeviceNotFound", f"Device {device_id} not registered")
        return device

    def _refusal(self, request: Request, error: ServiceError) -> Response:
        # What the key or the tier forbids is the operator's to mend; the rest is between the back end and its devices.
        level = logging.WARNING if error.status in (401, 403, 429) else logging.INFO
        what = f"{request.method} /{'/'.join(request.path)[:100]}"
        log.log(level, "%s refused: %d %s: %s", what, error.code, error.name, error)
        now = iso_time(self._hub.clock())
        tracking = f"Tracking ID:{uuid.uuid4().hex}-TimeStamp:{now}"
        message = f"ErrorCode:{error.name};{error}"
        if error.code in (404103, 504101):
            details = {"errorCode": error.code, "trackingId": tracking, "message": str(error), "timestampUtc": now}
            message = json.dumps(details)
        headers = {"iothub-errorcode": error.name}
        return Response.of_json({"Message": message, "ExceptionMessage": tracking}, error.status, **headers)


def _exists(device_id: str) -> ServiceError:
    return ServiceError(409001, "DeviceAlreadyExists", f"A device with ID '{device_id}' is already registered")


def _object(request: Request) -> dict[str, Any]:
    try:
        given = strict_json.loads(request.body)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise ServiceError(400004, "ArgumentInvalid", "the body is to be a JSON object")
    return given


def _match(request: Request, etag: str) -> None:
    """If-Match with or without quotes, the wildcard too: SDKs quote both."""
    wanted = request.headers.get("if-match", "*").strip('"')
    if wanted not in ("*", etag):
        raise ServiceError(412001, "PreconditionFailed", "the etag is not that of the present version")
