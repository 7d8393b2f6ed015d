"""The topics of one device, and what a publish to one of them asks for.

Microsoft, "Communicate with an IoT hub using the MQTT protocol". A device has no other topic and no other filter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

METHODS_FILTER: Final = "$iothub/methods/POST/#"
TWIN_RESPONSES_FILTER: Final = "$iothub/twin/res/#"
DESIRED_FILTER: Final = "$iothub/twin/PATCH/properties/desired/#"

_HUB: Final = re.compile(
    r"\$iothub/(?:(?P<get>twin/GET)|(?P<patch>twin/PATCH/properties/reported)|methods/res/(?P<status>-?[0-9]{1,9}))"
    r"/\?(?P<query>.*)"
)
# Opaque to the hub; bounded, since the hub says it back.
_REQUEST_ID: Final = re.compile(r"(?:.*&)?\$rid=([^&]{0,256})(?:&.*)?")


@dataclass(frozen=True, slots=True)
class TwinGet:
    """The device asks for its twin."""

    request_id: str


@dataclass(frozen=True, slots=True)
class TwinPatch:
    """The device reports properties."""

    request_id: str


@dataclass(frozen=True, slots=True)
class MethodResponse:
    """The device answers a direct method."""

    request_id: str
    status: int


def request(topic: str) -> TwinGet | TwinPatch | MethodResponse | None:
    """Return what a publish below `$iothub/` asks for, None if IoT Hub has no such topic."""
    found = _HUB.fullmatch(topic)
    request_id = _REQUEST_ID.fullmatch(found["query"]) if found else None
    if found is None or request_id is None:
        return None
    if found["get"]:
        return TwinGet(request_id[1])
    if found["patch"]:
        return TwinPatch(request_id[1])
    return MethodResponse(request_id[1], int(found["status"]))


def twin_response(status: int, request_id: str, version: int | None = None) -> str:
    """The topic of the answer to a twin request."""
    return f"$iothub/twin/res/{status}/?$rid={request_id}" + ("" if version is None else f"&$version={version}")


def method_request(name: str, request_id: str) -> str:
    """The topic of a direct method call."""
    return f"$iothub/methods/POST/{name}/?$rid={request_id}"


def desired_notification(version: int) -> str:
    """The topic of a change of desired properties."""
    return f"$iothub/twin/PATCH/properties/desired/?$version={version}"
