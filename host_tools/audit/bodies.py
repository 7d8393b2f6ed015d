"""What a message says, whatever it is written in: JSON, CBOR or SenML, told apart by the first byte.

Written from the forms alone, without the agent's code, CBOR by a library: see the docstrings of
firmware/fieldpost/records/*_body.py for the forms, RFC 8949 and RFC 8428 for what they are made of.
"""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

_CBOR_MAP_OPEN = 0xBF  # of unknown length (RFC 8949 section 3.2.2)
# Ten thousand years: an exponent of a million in few bytes would make a whole number of a million digits.
_SECONDS_MAX = 10**12

_UNITS = {"/": 100}  # a ratio comes of a percentage


def content(body: bytes) -> Any:
    """Return the body as JSON says it: {"q", "records", "lost"}. Raises ValueError for what is in none of the forms."""
    try:
        if body[:1] == b"[":
            return _from_senml(json.loads(body, parse_float=Decimal))  # exact, for units are converted
        if body[:1] and body[0] == _CBOR_MAP_OPEN:
            return _from_cbor(body)
        return json.loads(body)
    except (TypeError, ArithmeticError, AttributeError, RecursionError) as error:  # a stranger's idea of the forms
        raise ValueError(f"in none of the forms: {error}") from None


def _from_cbor(body: bytes) -> Any:
    import cbor2  # takes longer to import than most of what reads messages

    try:
        found = cbor2.loads(body)
    except cbor2.CBORDecodeError as error:
        raise ValueError(f"not CBOR: {error}") from None
    if not isinstance(found, dict) or not isinstance(found.get("records"), list):
        return found
    records, keys = [], None
    for record in found["records"]:
        if isinstance(record, dict):
            keys = tuple(record)
        elif keys is None or not isinstance(record, list) or len(record) != len(keys):
            raise ValueError("a record without keys of its own does not fit the one before it")
        else:
            record = dict(zip(keys, record, strict=True))
        records.append(_plain(record))
    return {**found, "records": records}


def _from_senml(pack: Any) -> dict[str, Any]:
    """Gather the entries of a SenML pack (RFC 8428 section 4) into records; `n` begins one."""
    found: dict[str, Any] = {"records": []}
    lost = []
    base_name: Any = ""
    base_time: Any = 0
    for entry in pack:
        if not isinstance(entry, dict) or not isinstance(entry.get("n"), str):
            raise ValueError("not a SenML pack: an entry without a name")
        base_name = entry.get("bn", base_name)
        base_time = entry.get("bt", base_time)
        found.setdefault("q", base_name.rstrip("/") if isinstance(base_name, str) else None)
        name, value = entry["n"], _value(entry)
        if name == "n":
            found["records"].append({"n": value, **({"t": _milliseconds(base_time)} if base_time else {})})
        elif name == "lost":
            first, _, last = str(value).partition("-")
            lost.append([int(first), int(last)])
        elif not found["records"]:
            raise ValueError("a SenML entry before any record")
        else:
            found["records"][-1][name] = _milliseconds(value) if name in ("up", "utc") else value
    found["records"] = [_plain(record) for record in found["records"]]
    return {**found, **({"lost": lost} if lost else {})}


def _milliseconds(seconds: Any) -> int:
    if not -_SECONDS_MAX < seconds < _SECONDS_MAX:
        raise ValueError("no time that a clock shows")
    found: int = round(seconds * 1000)
    return found


def _value(entry: dict[str, Any]) -> Any:
    if "vd" in entry:
        return base64.urlsafe_b64decode(entry["vd"] + "=" * (-len(entry["vd"]) % 4))
    value: Any = entry.get("v", entry.get("vs", entry.get("vb")))
    return value * _UNITS[entry["u"]] if entry.get("u") in _UNITS else value


def _plain(record: Any) -> Any:
    """Return a record as JSON has it: an answer's members are its own, bytes are hexadecimal, numbers are numbers."""
    plain: dict[str, Any] = {}
    for key, value in record.items():
        if key == "json" and isinstance(value, str):
            plain.update(json.loads(value))
        elif isinstance(value, bytes):
            plain[key] = value.hex()
        elif isinstance(value, Decimal):
            plain[key] = float(value)
        else:
            plain[key] = value
    return plain
