"""Numbers in a message's body, for the page's charts: JSON, CBOR or SenML, an agent's records or anybody's object.

    {"q": ..., "records": [{"n": 7, "t": 1795447452123, "boot": 3, "up": 12, "temperature": 21.5}, ...]}
    {"temperature": 21.5, "battery": {"voltage": 3.7}}      temperature, battery.voltage

A body comes from a device and may hold anything: what is no number in a reasonable place is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Final

from host_tools.audit import bodies, claims
from host_tools.hub.store.events import StoredMessage

NAME_CHARS_MAX: Final = 64
# Of one record; what is behind them is not looked at.
FIELDS_MAX: Final = 64
RECORDS_MAX: Final = 500
# Unix milliseconds that JavaScript's Date knows to be moments between 1970 and 2100.
_T_MAX: Final = 4_102_444_800_000

_CBOR: Final = "application/cbor"
_AGENTS_CBOR: Final = b"\xbf"  # a map of unknown length, which is how an agent begins
# Of an agent's record: what names it and says when it was.
_BOOKKEEPING: Final = frozenset(("n", "t", "boot", "up"))

Numbers = dict[str, float]


def numbers(message: StoredMessage) -> Iterator[tuple[int, Numbers]]:
    """Yield (Unix ms, name to number) for each record of a message that holds numbers, in their order."""
    content = _content(message)
    if isinstance(content, dict) and claims.is_ours(message.properties):
        records, skipped = content.get("records"), _BOOKKEEPING
    else:
        records, skipped = content if isinstance(content, list) else [content], frozenset()
    if not isinstance(records, list):
        return
    for record in records[:RECORDS_MAX]:
        if not isinstance(record, dict) or ("event" in record and skipped):
            continue
        found = {name: number for name, number in _fields(record) if name not in skipped}
        if found:
            yield _moment(record, message.enqueued_unix_ms) if skipped else message.enqueued_unix_ms, found


def _content(message: StoredMessage) -> Any:
    try:
        if message.system.get("content-type") == _CBOR and message.body[:1] != _AGENTS_CBOR:
            return _cbor(message.body)
        return bodies.content(message.body)
    except ValueError:
        pass
    try:
        return json.loads(message.body)  # an array that is no SenML
    except (ValueError, RecursionError):
        return None


def _cbor(body: bytes) -> Any:
    import cbor2  # takes long to import, and few devices send it

    try:
        return cbor2.loads(body)
    except (cbor2.CBORDecodeError, TypeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"not CBOR: {error}") from None


def _fields(record: dict[Any, Any]) -> Iterator[tuple[str, float]]:
    """Yield the numbers of a record, and of the objects in it with a dot in their names."""
    for key, value in list(record.items())[:FIELDS_MAX]:
        inner = list(value.items())[:FIELDS_MAX] if isinstance(value, dict) else [(None, value)]
        for part, one in inner:
            name = f"{key}" if part is None else f"{key}.{part}"
            number = _number(one)
            if number is not None and len(name) <= NAME_CHARS_MAX:
                yield name, number


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _moment(record: dict[str, Any], otherwise: int) -> int:
    given = record.get("t")
    return given if type(given) is int and 0 < given < _T_MAX else otherwise
