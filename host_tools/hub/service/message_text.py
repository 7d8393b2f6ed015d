"""A stored message as JSON and as a row of a table."""

from __future__ import annotations

import base64
import json
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
)


def as_json(message: StoredMessage) -> dict[str, Any]:
    """Return the message as plain data; a body that is no text is in `body_base64` instead of `body`."""
    found: dict[str, Any] = {
        "sequence": message.sequence,
        "enqueued_at": iso_time(message.enqueued_unix_ms / 1000),
        "device_id": message.device_id,
        "message_id": message.message_id,
        "duplicate": message.duplicate,
        "system": message.system,
        "properties": message.properties,
    }
    try:
        found["body"] = message.body.decode()
    except UnicodeDecodeError:
        found["body_base64"] = base64.b64encode(message.body).decode()
    return found


def as_row(message: StoredMessage) -> list[Any]:
    """Return the message as values of CSV_COLUMNS; properties are JSON."""
    found = as_json(message)
    for name in ("system", "properties"):
        found[name] = json.dumps(found[name], ensure_ascii=False)
    return [found.get(name, "") for name in CSV_COLUMNS]
