"""JSON merge patches (RFC 7396) on twin documents, with the limits that IoT Hub puts on them.

Microsoft, "Understand and use device twins in IoT Hub": depth, names, lengths, and how a size is counted.
"""

from __future__ import annotations

from typing import Any, Final

DEPTH_MAX: Final = 10
KEY_BYTES_MAX: Final = 1024
STRING_BYTES_MAX: Final = 4096
INTEGER_MIN: Final = -4_503_599_627_370_496
INTEGER_MAX: Final = 4_503_599_627_370_495

Json = dict[str, Any]


class DocumentRefused(ValueError):
    """The document breaks a limit of twins; the text says which and where."""


def merged(document: Json, patch: Json) -> Json:
    """Return the document with the patch applied: null removes, an object is merged, anything else replaces."""
    result = dict(document)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            below = result.get(key)
            result[key] = merged(below if isinstance(below, dict) else {}, value)
        else:
            result[key] = value
    return result


def check(document: Json, path: str = "", depth: int = 1) -> None:
    """Raise DocumentRefused if a name or value in it is none that a twin may have."""
    if depth > DEPTH_MAX:
        raise DocumentRefused(f"{path}: deeper than {DEPTH_MAX} levels")
    for key, value in document.items():
        place = f"{path}.{key}"[:80].lstrip(".")
        if not key or len(key.encode("utf-8", "replace")) > KEY_BYTES_MAX:
            raise DocumentRefused(f"{place}: a name has 1 to {KEY_BYTES_MAX} bytes")
        if any(character in ".$ " or ord(character) < 32 or 127 <= ord(character) < 160 for character in key):
            raise DocumentRefused(f"{place}: a name holds no dot, dollar, space or control character")
        _check_value(value, place, depth)


def _check_value(value: Any, place: str, depth: int) -> None:
    if isinstance(value, dict):
        check(value, place, depth + 1)
    elif isinstance(value, list):
        if depth + 1 > DEPTH_MAX:
            raise DocumentRefused(f"{place}: deeper than {DEPTH_MAX} levels")
        for item in value:
            _check_value(item, place, depth + 1)
    elif isinstance(value, str):
        if len(value.encode("utf-8", "replace")) > STRING_BYTES_MAX:
            raise DocumentRefused(f"{place}: a text has at most {STRING_BYTES_MAX} bytes")
    elif isinstance(value, int) and not isinstance(value, bool) and not INTEGER_MIN <= value <= INTEGER_MAX:
        raise DocumentRefused(f"{place}: {INTEGER_MIN} to {INTEGER_MAX} is what an integer may be")


def size(value: Any) -> int:
    """Return what a document counts: the characters of names and texts, 8 for a number, 4 for a truth value."""
    if isinstance(value, dict):
        return sum(len(key) + size(item) for key, item in value.items())
    if isinstance(value, list):
        return sum(size(item) for item in value)
    if isinstance(value, str):
        return len(value)
    if isinstance(value, bool):
        return 4
    return 8 if isinstance(value, int | float) else 0


def stamped(metadata: Json, document: Json, patch: Json, now: str, version: int | None) -> Json:
    """Return the metadata of `document` after `patch`: the time of the last change beside every name.

    version: of the desired properties, None for reported ones, which carry none.
    """
    stamp: Json = {"$lastUpdated": now}
    if version is not None:
        stamp["$lastUpdatedVersion"] = version
    result = {**{key: value for key, value in metadata.items() if key.startswith("$") or key in document}, **stamp}
    for key, value in patch.items():
        if key not in document:
            continue
        below = metadata.get(key, {})
        if isinstance(value, dict) and isinstance(document[key], dict):
            result[key] = stamped(below, document[key], value, now, version)
        else:
            result[key] = dict(stamp)
    return result
