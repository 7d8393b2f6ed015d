"""What peers say to each other in frames (OASIS AMQP 1.0 parts 2, 3 and 5).

The order of the fields is that on the wire. They are always written to the last one: Microsoft's Python client
takes them by position and is lost when trailing nulls are left out, as they may be.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final, get_args, get_type_hints

from host_tools.hub.amqp.types import Described, Malformed, Symbol, Symbols, UByte, UInt, ULong, UShort, encode

SENDER: Final = False
RECEIVER: Final = True

_SOURCE: Final = ULong(0x28)
_TARGET: Final = ULong(0x29)
_ERROR: Final = ULong(0x1D)
# Defaults of fields, where the standard has some.
_UINT_MAX: Final = UInt(0xFFFFFFFF)
_USHORT_MAX: Final = UShort(65535)
_MIXED: Final = UByte(2)
_FIRST: Final = UByte(0)


@dataclass(slots=True)
class Open:
    """2.7.1"""

    container_id: str
    hostname: str | None = None
    max_frame_size: UInt = _UINT_MAX
    channel_max: UShort = _USHORT_MAX
    idle_time_out: UInt | None = None
    outgoing_locales: Any = None
    incoming_locales: Any = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: dict[Any, Any] | None = None


@dataclass(slots=True)
class Begin:
    """2.7.2"""

    remote_channel: UShort | None
    next_outgoing_id: UInt
    incoming_window: UInt
    outgoing_window: UInt
    handle_max: UInt = _UINT_MAX
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: dict[Any, Any] | None = None


@dataclass(slots=True)
class Attach:
    """2.7.3"""

    name: str
    handle: UInt
    role: bool
    snd_settle_mode: UByte = _MIXED
    rcv_settle_mode: UByte = _FIRST
    source: Described | None = None
    target: Described | None = None
    unsettled: dict[Any, Any] | None = None
    incomplete_unsettled: bool = False
    initial_delivery_count: UInt | None = None
    max_message_size: ULong | None = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: dict[Any, Any] | None = None


@dataclass(slots=True)
class Flow:
    """2.7.4"""

    next_incoming_id: UInt | None
    incoming_window: UInt
    next_outgoing_id: UInt
    outgoing_window: UInt
    handle: UInt | None = None
    delivery_count: UInt | None = None
    link_credit: UInt | None = None
    available: UInt | None = None
    drain: bool = False
    echo: bool = False
    properties: dict[Any, Any] | None = None


@dataclass(slots=True)
class Transfer:
    """2.7.5; the message follows in the same frame."""

    handle: UInt
    delivery_id: UInt | None = None
    delivery_tag: bytes | None = None
    message_format: UInt | None = None
    settled: bool | None = None
    more: bool = False
    rcv_settle_mode: UByte | None = None
    state: Described | None = None
    resume: bool = False
    aborted: bool = False
    batchable: bool = False


@dataclass(slots=True)
class Disposition:
    """2.7.6"""

    role: bool
    first: UInt
    last: UInt | None = None
    settled: bool = False
    state: Described | None = None
    batchable: bool = False


@dataclass(slots=True)
class Detach:
    """2.7.7"""

    handle: UInt
    closed: bool = False
    error: Described | None = None


@dataclass(slots=True)
class End:
    """2.7.8"""

    error: Described | None = None


@dataclass(slots=True)
class Close:
    """2.7.9"""

    error: Described | None = None


@dataclass(slots=True)
class SaslMechanisms:
    """5.3.3.1"""

    sasl_server_mechanisms: Any


@dataclass(slots=True)
class SaslInit:
    """5.3.3.2"""

    mechanism: Symbol
    initial_response: bytes | None = None
    hostname: str | None = None


@dataclass(slots=True)
class SaslOutcome:
    """5.3.3.5"""

    code: UByte
    additional_data: bytes | None = None


Performative = (
    Open
    | Begin
    | Attach
    | Flow
    | Transfer
    | Disposition
    | Detach
    | End
    | Close
    | SaslMechanisms
    | SaslInit
    | SaslOutcome
)
_CODES: Final[dict[type[Any], int]] = {
    Open: 0x10,
    Begin: 0x11,
    Attach: 0x12,
    Flow: 0x13,
    Transfer: 0x14,
    Disposition: 0x15,
    Detach: 0x16,
    End: 0x17,
    Close: 0x18,
    SaslMechanisms: 0x40,
    SaslInit: 0x41,
    SaslOutcome: 0x44,
}
_CLASSES: Final = {code: kind for kind, code in _CODES.items()}


@dataclass(frozen=True, slots=True)
class _Field:
    kinds: tuple[type, ...]
    default: Any


def _fields(kind: type[Any]) -> list[_Field]:
    hints = get_type_hints(kind)
    found = []
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        kinds = () if hint is Any else tuple(getattr(one, "__origin__", one) for one in get_args(hint) or (hint,))
        if getattr(hint, "__origin__", None) is dict:
            kinds = (dict,)
        default = None if field.default is dataclasses.MISSING else field.default
        found.append(_Field(kinds, default))
    return found


_FIELDS: Final = {kind: _fields(kind) for kind in _CODES}


def parse(value: Any) -> Performative:
    """Return the performative that a decoded value is; raises Malformed, also for fields of a wrong type."""
    descriptor = value.descriptor if isinstance(value, Described) else None
    kind = _CLASSES.get(descriptor) if isinstance(descriptor, int) else None
    if kind is None or not isinstance(value.value, list):
        raise Malformed(f"no performative: {str(descriptor)[:40]}")
    fields, given = _FIELDS[kind], value.value
    if len(given) > len(fields):
        raise Malformed(f"{kind.__name__} with {len(given)} fields")
    values = []
    for index, field in enumerate(fields):
        item = given[index] if index < len(given) else None
        if item is None:
            item = field.default
        if field.kinds and not isinstance(item, field.kinds):
            raise Malformed(f"{kind.__name__}: field {index} is of the wrong type, or missing")
        values.append(item)
    return kind(*values)  # type: ignore[no-any-return]


def as_bytes(performative: Performative) -> bytes:
    """What a frame holds."""
    kind = type(performative)
    values = []
    for spec, field in zip(dataclasses.fields(kind), _FIELDS[kind], strict=True):
        value = getattr(performative, spec.name)
        # Plain numbers get the width that the field has.
        if type(value) is int:
            value = next(one for one in field.kinds if issubclass(one, int))(value)
        values.append(value)
    return encode(Described(ULong(_CODES[kind]), values))


def source(address: str, filters: Any = None) -> Described:
    """Where a link's messages come from (3.5.3)."""
    return Described(_SOURCE, [address, None, None, None, None, None, None, filters, None, None, None])


def target(address: str) -> Described:
    """Where a link's messages go (3.5.4)."""
    return Described(_TARGET, [address, None, None, None, None, None, None])


def address(terminus: Described | None) -> str:
    """Return the address of a source or target, empty if it has none."""
    fields = terminus.value if terminus is not None and isinstance(terminus.value, list) else []
    return fields[0] if fields and isinstance(fields[0], str) else ""


def filters(terminus: Described | None) -> dict[Any, Any]:
    """Return the filters of a source (3.5.8)."""
    fields = terminus.value if terminus is not None and isinstance(terminus.value, list) else []
    return fields[7] if len(fields) > 7 and isinstance(fields[7], dict) else {}


def error(condition: str, description: str) -> Described:
    """2.8.14"""
    return Described(_ERROR, [Symbol(condition), description, None])


# Outcomes (3.4).
ACCEPTED: Final = Described(ULong(0x24), [])
_REJECTED: Final = ULong(0x25)


def rejected(condition: str, description: str) -> Described:
    """3.4.3"""
    return Described(_REJECTED, [error(condition, description)])


def is_accepted(state: Described | None) -> bool:
    """Whether a delivery was dealt with, by acceptance or refusal, and is not to come again."""
    return state is not None and state.descriptor in (ACCEPTED.descriptor, _REJECTED)


def symbols(*names: str) -> Symbols:
    """An array of symbols."""
    return Symbols(names)
