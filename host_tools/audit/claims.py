"""What one message claims: which records it carries and which numbers its board reports as lost.

Written from the form of the body alone, without the agent's code: an audit that shared the agent's idea
of a message would share its mistakes.

    {"q": "1f2e3d4c", "lost": [[5, 9]], "records": [{"n": 10, ...}, {"n": 11, "event": "boot", ...}]}
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from host_tools.audit import bodies
from host_tools.audit.ranges import Range

MARK = ("fp", "1")  # the application property that tells a fieldpost message from any other


class Unreadable(ValueError):
    """A message that is marked as fieldpost's and does not say what it should."""


@dataclass(frozen=True)
class Claims:
    """One message: the ring it speaks for, the records it delivers in their order, what it reports as lost.

    events: those of `numbers` that are no readings but tell what happened (boot, anchor, result).
    """

    ring: str
    numbers: tuple[int, ...]
    events: tuple[int, ...]
    lost: tuple[Range, ...]


def is_ours(properties: Mapping[str, str | None]) -> bool:
    """Return whether the application properties mark a message of a fieldpost agent."""
    return properties.get(MARK[0]) == MARK[1]


def read(body: bytes) -> Claims:
    """Return what the body says. Raises Unreadable with the reason."""
    try:
        content = bodies.content(body)
    except ValueError as error:
        raise Unreadable(f"not JSON, CBOR or SenML: {error}") from None
    if not isinstance(content, dict):
        raise Unreadable("no object")
    ring = content.get("q")
    if not isinstance(ring, str) or not ring:
        raise Unreadable("no ring id in 'q'")
    records = content.get("records", [])
    if not isinstance(records, list):
        raise Unreadable("'records' is no list")
    numbers = tuple(_number(record.get("n") if isinstance(record, dict) else None) for record in records)
    events = tuple(record["n"] for record in records if "event" in record)
    return Claims(ring, numbers, events, _lost(content.get("lost", [])))


def _lost(ranges: Any) -> tuple[Range, ...]:
    if not isinstance(ranges, list):
        raise Unreadable("'lost' is no list")
    found = []
    for pair in ranges:
        if not isinstance(pair, list) or len(pair) != 2:
            raise Unreadable(f"'lost' holds {pair!r} instead of [first, last]")
        first, last = _number(pair[0]), _number(pair[1])
        if first > last:
            raise Unreadable(f"'lost' holds {pair!r}, which ends before it begins")
        found.append((first, last))
    return tuple(found)


def _number(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise Unreadable(f"{value!r} is no record number")
    return value
