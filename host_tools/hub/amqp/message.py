"""AMQP messages (OASIS AMQP 1.0 part 3, section 3.2): sections in, fields out, and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from host_tools.hub.amqp.types import Described, Malformed, Symbol, ULong, decode, encode

_DELIVERY_ANNOTATIONS: Final = 0x71
_ANNOTATIONS: Final = 0x72
_PROPERTIES: Final = 0x73
_APPLICATION: Final = 0x74
_DATA: Final = 0x75
_VALUE: Final = 0x77
_SECTIONS: Final = range(0x70, 0x79)
# 3.2.4, in the order of the wire.
_PROPERTY_NAMES: Final = (
    "message-id",
    "user-id",
    "to",
    "subject",
    "reply-to",
    "correlation-id",
    "content-type",
    "content-encoding",
    "absolute-expiry-time",
    "creation-time",
    "group-id",
    "group-sequence",
    "reply-to-group-id",
)
_SYMBOLS: Final = ("content-type", "content-encoding")
NAMES: Final = frozenset(_PROPERTY_NAMES)


@dataclass(slots=True)
class Message:
    """body: bytes of its data sections; value: that of an amqp-value section instead, if it has one.

    properties: by the names of section 3.2.4.
    """

    body: bytes = b""
    value: Any = None
    properties: dict[str, Any] = field(default_factory=dict)
    application: dict[str, Any] = field(default_factory=dict)
    annotations: dict[str, Any] = field(default_factory=dict)
    delivery_annotations: dict[str, Any] = field(default_factory=dict)

    def as_bytes(self) -> bytes:
        """Return the sections that are not empty."""
        found = b""
        for code, named in ((_DELIVERY_ANNOTATIONS, self.delivery_annotations), (_ANNOTATIONS, self.annotations)):
            if named:
                found += _section(code, {Symbol(name): value for name, value in named.items()})
        if self.properties:
            given = self.properties
            found += _section(
                _PROPERTIES,
                [
                    Symbol(given[name]) if name in _SYMBOLS and given.get(name) is not None else given.get(name)
                    for name in _PROPERTY_NAMES
                ],
            )
        if self.application:
            found += _section(_APPLICATION, self.application)
        return found + (_section(_DATA, self.body) if self.value is None else _section(_VALUE, self.value))


def _section(code: int, value: Any) -> bytes:
    return encode(Described(ULong(code), value))


def parse(data: bytes) -> Message:
    """Return a message; raises Malformed."""
    message, at = Message(), 0
    body: list[bytes] = []
    while at < len(data):
        section, at = decode(data, at)
        code = section.descriptor if isinstance(section, Described) else None
        if not isinstance(code, int) or code not in _SECTIONS:
            raise Malformed("no section of a message")
        value = section.value
        if code == _DATA:
            if not isinstance(value, bytes):
                raise Malformed("data section without bytes")
            body.append(value)
        elif code == _VALUE:
            message.value = value
        elif code == _PROPERTIES:
            if not isinstance(value, list) or len(value) > len(_PROPERTY_NAMES):
                raise Malformed("malformed properties")
            named = zip(_PROPERTY_NAMES, value, strict=False)
            message.properties = {name: item for name, item in named if item is not None}
        elif code in (_APPLICATION, _ANNOTATIONS):
            if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
                raise Malformed("malformed application properties or annotations")
            if code == _APPLICATION:
                message.application = value
            else:
                message.annotations = value
    message.body = b"".join(body)
    return message
