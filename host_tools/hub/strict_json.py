"""JSON as RFC 8259 has it. Python's parser also takes NaN and Infinity, makes infinity of 1e999, and takes half a
surrogate pair for a character, which no encoding has (section 8.2)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, Final

# A twin may have ten levels. Code that walks a document calls itself for each of them.
DEPTH_MAX: Final = 100
_SURROGATE: Final = b"\\ud"


def loads(data: bytes | str) -> Any:
    """Return the value; ValueError for what is no JSON, or a number that none can be written for, or nested too far."""
    try:
        value = json.loads(data, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError(f"nested more than {DEPTH_MAX} levels deep") from None
    if _is_deeper(value, DEPTH_MAX):
        raise ValueError(f"nested more than {DEPTH_MAX} levels deep")
    if _SURROGATE in (data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data).lower():
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects are nested in more than so many levels; looks at one level after the other."""
    level = [value]
    for _ in range(levels + 1):
        level = [one for one in level if isinstance(one, dict | list)]
        if not level:
            return False
        level = [below for one in level for below in _below(one)]
    return True


def _below(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number
