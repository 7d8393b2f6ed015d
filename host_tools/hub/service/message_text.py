"""A stored message as JSON and as a row of a table."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any, Final

from host_tools.hub.devices.twins import iso_time
from host_tools.hub.store.events import StoredMessage

CSV_COLUMNS: Final = (
    "sequence",
    "enqueued_at",
    "device_id",
    "message_id",
    "duplicate",
    "system",
    "properties",
    "body",
    "body_base64",
    "body_json",
)
_CBOR: Final = "application/cbor"


def as_json(message: StoredMessage) -> dict[str, Any]:
    """Return the message as plain data; a body that is no text is in `body_base64` instead of `body`.

    What CBOR (by its content type) says is in `body_json` as well, JSON text.
    """
    found: dict[str, Any] = {
        "sequence": message.sequence,
        "enqueued_at": iso_time(message.enqueued_unix_ms / 1000),
        "device_id": message.device_id,
        "message_id": message.message_id,
        "duplicate": message.duplicate,
        "system": message.system,
        "properties": message.properties,
    }
    is_cbor = message.system.get("content-type") == _CBOR
    try:
        if is_cbor:
            found["body_json"] = _cbor_as_json(message.body)
        found["body"] = message.body.decode()
    except UnicodeDecodeError:
        found["body_base64"] = base64.b64encode(message.body).decode()
    return found


def _cbor_as_json(body: bytes) -> str | None:
    """Return CBOR as JSON text, or None if it is none; decimal fractions are numbers, bytes base64."""
    import cbor2  # takes longer to import than the rest of this module, and few devices send it

    def plain(value: Any) -> Any:
        return float(value) if isinstance(value, Decimal) else base64.b64encode(value).decode()

    try:
        return json.dumps(cbor2.loads(body), default=plain, ensure_ascii=False)
    except (cbor2.CBORDecodeError, TypeError, ValueError, RecursionError):
        return None


def as_row(message: StoredMessage) -> list[Any]:
    """Return the message as values of CSV_COLUMNS; properties are JSON."""
    found = as_json(message)
    for name in ("system", "properties"):
        found[name] = json.dumps(found[name], ensure_ascii=False)
    return [found.get(name, "") for name in CSV_COLUMNS]
