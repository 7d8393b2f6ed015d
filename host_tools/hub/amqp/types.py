"""AMQP 1.0's type system: values to bytes and back (OASIS AMQP 1.0 part 1).

    null None · boolean bool · string str · symbol Symbol · binary bytes · uuid UUID · float, double float
    list and array list · map dict · described types Described · integers and timestamps: a class for each width

What is decoded keeps its type, since answers have to say message ids back as they came.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

# Deeper than any message that makes sense; the decoder calls itself for each level.
_DEPTH_MAX: Final = 32
# Elements of an array that take no bytes at all: nothing but this would bound their number.
_EMPTY_ELEMENTS_MAX: Final = 256


class Malformed(Exception):
    """The bytes are no AMQP."""


class Symbol(str):
    """ASCII out of a constrained domain (1.6.21)."""


class UByte(int):
    """0 to 2**8 - 1."""


class UShort(int):
    """0 to 2**16 - 1."""


class UInt(int):
    """0 to 2**32 - 1."""


class ULong(int):
    """0 to 2**64 - 1."""


class Byte(int):
    """-2**7 to 2**7 - 1."""


class Short(int):
    """-2**15 to 2**15 - 1."""


class Int(int):
    """-2**31 to 2**31 - 1."""


class Long(int):
    """-2**63 to 2**63 - 1; plain numbers are written as this."""


class Timestamp(int):
    """Unix milliseconds."""


class Symbols(list[str]):
    """Written as an array of symbols, which is what fields with `multiple` want."""


@dataclass(frozen=True, slots=True)
class Described:
    """A value whose meaning a descriptor tells, mostly a ULong."""

    descriptor: Any
    value: Any


_SINGLETONS: Final[dict[int, Any]] = {0x40: None, 0x41: True, 0x42: False, 0x43: UInt(0), 0x44: ULong(0)}
_EMPTY_LIST: Final = 0x45
# Constructor: (struct format, class).
_FIXED: Final[dict[int, tuple[struct.Struct, Any]]] = {
    code: (struct.Struct(form), kind)
    for code, form, kind in (
        (0x50, ">B", UByte),
        (0x51, ">b", Byte),
        (0x52, ">B", UInt),
        (0x53, ">B", ULong),
        (0x54, ">b", Int),
        (0x55, ">b", Long),
        (0x56, ">?", bool),
        (0x60, ">H", UShort),
        (0x61, ">h", Short),
        (0x70, ">I", UInt),
        (0x71, ">i", Int),
        (0x72, ">f", float),
        (0x73, ">I", UInt),  # a character
        (0x74, ">4s", bytes),  # decimals, which nobody here calculates with
        (0x80, ">Q", ULong),
        (0x81, ">q", Long),
        (0x82, ">d", float),
        (0x83, ">q", Timestamp),
        (0x84, ">8s", bytes),
        (0x94, ">16s", bytes),
        (0x98, ">16s", lambda data: UUID(bytes=data)),
    )
}
_WIDTHS: Final = {0xA0: 1, 0xA1: 1, 0xA3: 1, 0xB0: 4, 0xB1: 4, 0xB3: 4}
_COMPOUND: Final = {0xC0: 1, 0xC1: 1, 0xE0: 1, 0xD0: 4, 0xD1: 4, 0xF0: 4}
_KEYS: Final = (str, bytes, int, float, UUID, type(None))


def decode(data: bytes, at: int = 0, depth: int = 0) -> tuple[Any, int]:
    """Return the value at `at` and where it ends; raises Malformed."""
    return _value(_byte(data, at), data, at + 1, depth)


def _value(code: int, data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """Return a value whose constructor was `code`, and where it ends."""
    if code in _SINGLETONS:
        return _SINGLETONS[code], at
    if code in _FIXED:
        form, kind = _FIXED[code]
        if at + form.size > len(data):
            raise Malformed("value cut short")
        return kind(form.unpack_from(data, at)[0]), at + form.size
    if code in _WIDTHS:
        length, at = _length(data, at, _WIDTHS[code])
        return _text(code, data[at : at + length]), at + length
    if depth >= _DEPTH_MAX:
        raise Malformed("nested too deeply")
    if code == 0:
        descriptor, at = decode(data, at, depth + 1)
        value, at = decode(data, at, depth + 1)
        return Described(descriptor, value), at
    if code == _EMPTY_LIST:
        return [], at
    if code in _COMPOUND:
        width = _COMPOUND[code]
        length, at = _length(data, at, width)
        if length < width:
            raise Malformed("compound value cut short")
        body = data[at : at + length]
        count = int.from_bytes(body[:width], "big")
        return _compound(code, body, width, count, depth + 1), at + length
    raise Malformed(f"constructor {code:#04x}")


def _compound(code: int, body: bytes, at: int, count: int, depth: int) -> Any:
    if code in (0xE0, 0xF0):
        return _array(body, at, count, depth)
    if count > len(body):
        raise Malformed("more elements than bytes")
    values = []
    for _ in range(count):
        value, at = decode(body, at, depth)
        values.append(value)
    if at != len(body):
        raise Malformed("bytes behind the last element")
    if code in (0xC0, 0xD0):
        return values
    keys = values[::2]
    if count % 2 or not all(isinstance(key, _KEYS) for key in keys):
        raise Malformed("map with an odd number of elements, or with a key that is no plain value")
    return dict(zip(keys, values[1::2], strict=True))


def _array(body: bytes, at: int, count: int, depth: int) -> list[Any]:
    if not count:
        return []
    code = _byte(body, at)
    descriptor, is_described = None, code == 0
    at += 1
    if is_described:
        descriptor, at = decode(body, at, depth)
        code = _byte(body, at)
        at += 1
    has_width = code not in _SINGLETONS and code != _EMPTY_LIST
    if count > (len(body) if has_width else _EMPTY_ELEMENTS_MAX):
        raise Malformed("more elements than bytes")
    values = []
    for _ in range(count):
        value, at = _value(code, body, at, depth)
        values.append(Described(descriptor, value) if is_described else value)
    if at != len(body):
        raise Malformed("bytes behind the last element")
    return values


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise Malformed("value cut short")
    return data[at]


def _length(data: bytes, at: int, width: int) -> tuple[int, int]:
    length = int.from_bytes(data[at : at + width], "big")
    if at + width + length > len(data):
        raise Malformed("value cut short")
    return length, at + width


def _text(code: int, data: bytes) -> bytes | str:
    try:
        if code in (0xA1, 0xB1):
            return data.decode()
        return Symbol(data.decode("ascii")) if code in (0xA3, 0xB3) else data
    except UnicodeDecodeError as error:
        raise Malformed("a string is not UTF-8, or a symbol not ASCII") from error


# Class: (constructor, format); the classes that have no shorter form worth the branch.
_NUMBERS: Final[dict[type, tuple[int, str]]] = {
    UByte: (0x50, ">BB"),
    Byte: (0x51, ">Bb"),
    UShort: (0x60, ">BH"),
    Short: (0x61, ">Bh"),
    UInt: (0x70, ">BI"),
    Int: (0x71, ">Bi"),
    ULong: (0x80, ">BQ"),
    Long: (0x81, ">Bq"),
    int: (0x81, ">Bq"),
    Timestamp: (0x83, ">Bq"),
    float: (0x82, ">Bd"),
}


def encode(value: Any) -> bytes:
    """Return the bytes of a value; TypeError for what AMQP has no type for, struct.error for a number out of range."""
    if value is None:
        return b"\x40"
    if value is True or value is False:
        return b"\x41" if value else b"\x42"
    if type(value) in _NUMBERS:
        code, form = _NUMBERS[type(value)]
        return struct.pack(form, code, value)
    if isinstance(value, Symbol):
        return _variable(0xA3, value.encode("ascii"))
    if isinstance(value, str):
        return _variable(0xA1, value.encode())
    if isinstance(value, bytes):
        return _variable(0xA0, value)
    if isinstance(value, UUID):
        return b"\x98" + value.bytes
    if isinstance(value, Described):
        return b"\0" + _descriptor(value.descriptor) + encode(value.value)
    if isinstance(value, Symbols):
        elements = b"".join(struct.pack(">I", len(text)) + text.encode("ascii") for text in value)
        return struct.pack(">BIIB", 0xF0, 5 + len(elements), len(value), 0xB3) + elements
    if isinstance(value, list):
        return _group(0xC0, len(value), b"".join(map(encode, value)))
    if isinstance(value, dict):
        return _group(0xC1, 2 * len(value), b"".join(encode(part) for pair in value.items() for part in pair))
    raise TypeError(f"{type(value).__name__} has no type in AMQP")


def _descriptor(descriptor: Any) -> bytes:
    """Small codes in their short form: Microsoft's Python client looks at the third byte and decodes nothing."""
    if isinstance(descriptor, int) and descriptor < 256:
        return bytes((0x53, descriptor))
    return encode(descriptor)


def _variable(code: int, data: bytes) -> bytes:
    if len(data) < 256:
        return bytes((code, len(data))) + data
    return struct.pack(">BI", code + 0x10, len(data)) + data


def _group(code: int, count: int, elements: bytes) -> bytes:
    if count < 256 and len(elements) < 255:
        return bytes((code, len(elements) + 1, count)) + elements
    return struct.pack(">BII", code + 0x10, len(elements) + 4, count) + elements
