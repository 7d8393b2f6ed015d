"""Device-to-cloud messages as they were stored."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from host_tools.errors import UserError
from host_tools.hub.store import database
from host_tools.hub.store.writer import Insert

INSERT: Final = Insert("events", ("device_id", "enqueued_ms", "system", "properties", "duplicate", "body"))
# Read by pages, so that a slow reader holds neither the whole store in memory nor a snapshot of it open,
# which would keep SQLite from shortening its log.
_PAGE_ROWS: Final = 500


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message. enqueued_unix_ms: when the hub took it; duplicate: it came with the DUP flag."""

    sequence: int
    device_id: str
    message_id: str | None
    system: dict[str, str]
    properties: dict[str, str | None]
    body: bytes
    enqueued_unix_ms: int
    duplicate: bool


def read(connection: sqlite3.Connection, device_id: str | None, after: int) -> Iterator[StoredMessage]:
    """Yield messages with a sequence number above `after`, oldest first, until there is none left."""
    while True:
        rows = connection.execute(
            "SELECT sequence, device_id, enqueued_ms, system, properties, duplicate, body FROM events"
            " WHERE sequence > ? AND (? IS NULL OR device_id = ?) ORDER BY sequence LIMIT ?",
            (after, device_id, device_id, _PAGE_ROWS),
        ).fetchall()
        if not rows:
            return
        for sequence, device, enqueued_ms, system_json, properties, duplicate, body in rows:
            system = json.loads(system_json)
            message_id = system.get("message-id")
            yield StoredMessage(
                sequence, device, message_id, system, json.loads(properties), body, enqueued_ms, bool(duplicate)
            )
            after = sequence


def read_messages(directory: Path, device_id: str | None = None, after: int = 0) -> Iterator[StoredMessage]:
    """Yield the messages in a hub's directory, whether that hub runs or not; UserError if there is no store."""
    try:
        with closing(database.open_for_reading(directory)) as connection:
            yield from read(connection, device_id, after)
    except sqlite3.Error as error:
        raise UserError(f"no readable hub store in {directory}: {error}; start the hub there first") from error
