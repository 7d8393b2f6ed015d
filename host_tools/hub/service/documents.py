"""Devices and twins as JSON documents, as IoT Hub's service API has them.

Microsoft, "IoT Hub service REST API", definitions of Device and Twin.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from host_tools.errors import UserError
from host_tools.hub.devices.registry import CERTIFICATE_AUTHORITY, SAS, SELF_SIGNED, Device
from host_tools.hub.devices.twin import Twin
from host_tools.hub.devices.twins import iso_time

if TYPE_CHECKING:
    from host_tools.hub.hub import Hub

_NEVER: Final = "0001-01-01T00:00:00Z"
_CONNECTION: Final = {True: "Connected", False: "Disconnected"}


def device(hub: Hub, known: Device) -> dict[str, Any]:
    """Return the identity with its keys."""
    return {
        "deviceId": known.id,
        "generationId": known.generation_id,
        "etag": known.etag,
        "status": known.status,
        "statusReason": known.status_reason or None,
        "statusUpdatedTime": _NEVER,
        "connectionState": _CONNECTION[hub.is_connected(known.id)],
        "connectionStateUpdatedTime": _moment(hub.presence.changed_ms(known.id)),
        "lastActivityTime": _moment(hub.presence.heard_ms(known.id)),
        "cloudToDeviceMessageCount": hub.pending(known.id),
        "authentication": {
            "type": known.authentication,
            "symmetricKey": {"primaryKey": known.primary_key or None, "secondaryKey": known.secondary_key or None},
            "x509Thumbprint": {
                "primaryThumbprint": known.primary_thumbprint or None,
                "secondaryThumbprint": known.secondary_thumbprint or None,
            },
        },
        "capabilities": {"iotEdge": False},
    }


def _moment(unix_ms: int | None) -> str:
    return _NEVER if unix_ms is None else iso_time(unix_ms / 1000)


def twin(hub: Hub, device_id: str) -> dict[str, Any]:
    """Return the twin as a service sees it."""
    known, found = hub.devices.get(device_id), hub.twins.get(device_id)
    assert known is not None
    return {
        "deviceId": device_id,
        "etag": twin_etag(found),
        "deviceEtag": known.etag,
        "status": known.status,
        "statusUpdateTime": _NEVER,
        "connectionState": _CONNECTION[hub.is_connected(device_id)],
        "lastActivityTime": _moment(hub.presence.heard_ms(device_id)),
        "cloudToDeviceMessageCount": hub.pending(device_id),
        "authenticationType": known.authentication,
        "x509Thumbprint": {
            "primaryThumbprint": known.primary_thumbprint or None,
            "secondaryThumbprint": known.secondary_thumbprint or None,
        },
        "capabilities": {"iotEdge": False},
        "version": found.version,
        "tags": found.tags,
        "properties": {"desired": found.desired.with_metadata(), "reported": found.reported.with_metadata()},
    }


def twin_etag(found: Twin) -> str:
    """What If-Match is compared with: the version as eight bytes, base64."""
    return base64.b64encode(found.version.to_bytes(8, "big")).decode()


def attributes(document: dict[str, Any]) -> dict[str, str]:
    """Return the fields of Device that a document sets; UserError for what it may not hold."""
    found: dict[str, Any] = {}
    if document.get("status") is not None:
        found["status"] = document["status"]
    if document.get("statusReason") is not None:
        found["status_reason"] = document["statusReason"]
    authentication = document.get("authentication") or {}
    keys = authentication.get("symmetricKey") or {} if isinstance(authentication, dict) else None
    thumbprints = authentication.get("x509Thumbprint") or {} if isinstance(authentication, dict) else None
    if not isinstance(keys, dict) or not isinstance(thumbprints, dict):
        raise UserError("authentication, symmetricKey and x509Thumbprint are JSON objects")
    kind = authentication.get("type")
    if kind is None and authentication:
        kind = SELF_SIGNED if any(thumbprints.values()) else SAS
    if kind is not None:
        if kind not in (SAS, SELF_SIGNED, CERTIFICATE_AUTHORITY):
            raise UserError(f"authentication type {kind!r}: use {SAS}, {SELF_SIGNED} or {CERTIFICATE_AUTHORITY}")
        found["authentication"] = kind
    for name, value in (
        ("primary_key", keys.get("primaryKey")),
        ("secondary_key", keys.get("secondaryKey")),
        ("primary_thumbprint", thumbprints.get("primaryThumbprint")),
        ("secondary_thumbprint", thumbprints.get("secondaryThumbprint")),
    ):
        if value is not None:
            found[name] = value
    for name, value in found.items():
        if not isinstance(value, str):
            raise UserError(f"{name} is to be a text")
    return found
