"""Property bags of IoT Hub topics: system properties with `$.` in front, application properties without.

Microsoft, "Communicate with an IoT hub using the MQTT protocol", and RFC 3986 section 2.1 for the encoding. A
plus sign is a plus sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

_SYSTEM: Final = {
    "$.mid": "message-id",
    "$.cid": "correlation-id",
    "$.uid": "user-id",
    "$.ct": "content-type",
    "$.ce": "content-encoding",
    "$.to": "to",
    "$.exp": "absolute-expiry-time",
    "$.ctime": "iothub-creation-time-utc",
    "$.on": "output-name",
    "$.ifid": "iothub-interface-id",
    "$.sub": "dt-subject",
}
_BY_NAME: Final = {name: key for key, name in _SYSTEM.items()}


class BagMalformed(ValueError):
    """The bag cannot be decoded; the real hub closes the connection then."""


def decode(bag: str) -> tuple[dict[str, str], dict[str, str | None]]:
    """Return (system properties by their long names, application properties); None = key without value."""
    system: dict[str, str] = {}
    application: dict[str, str | None] = {}
    for part in bag.removeprefix("?").split("&"):
        if not part:
            continue
        key, equals, value = part.partition("=")
        name = _unquote(key)
        if name in _SYSTEM:
            system[_SYSTEM[name]] = _unquote(value)
        else:
            application[name] = _unquote(value) if equals else None
    return system, application


def _unquote(text: str) -> str:
    if "%" not in text:
        return text
    return _unquote_short(text) if len(text) <= _SHORT else _unquote_any(text)


def _unquote_any(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise BagMalformed(f"property {text[:40]} is not UTF-8") from error


# Devices say the same names and content types again and again. Only short ones are kept: devices choose the texts.
_SHORT: Final = 64
_unquote_short = lru_cache(maxsize=1024)(_unquote_any)


def size(system: dict[str, str], application: dict[str, str | None]) -> int:
    """Return what the properties count towards a message's size, in bytes.

    Microsoft, "Create and read IoT Hub messages": values of system properties, names and values of the others.
    """
    texts = (*system.values(), *application, *(value or "" for value in application.values()))
    return sum(len(text.encode()) for text in texts)


def encode(system: Mapping[str, str], application: Mapping[str, str | None]) -> str:
    """Return the bag; system properties first, known by their long names."""
    pairs = [*((_BY_NAME[name], value) for name, value in system.items()), *application.items()]
    return "&".join(
        quote(key, safe="") if value is None else f"{quote(key, safe='')}={quote(value, safe='')}"
        for key, value in pairs
    )
