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


def read(
    connection: sqlite3.Connection, device_id: str | None, after: int, page_rows: int = _PAGE_ROWS
) -> Iterator[StoredMessage]:
    """Yield messages with a sequence number above `after`, oldest first, until there is none left."""
    while True:
        rows = connection.execute(
            "SELECT sequence, device_id, enqueued_ms, system, properties, duplicate, body FROM events"
            " WHERE sequence > ? AND (? IS NULL OR device_id = ?) ORDER BY sequence LIMIT ?",
            (after, device_id, device_id, page_rows),
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


def last_sequence(connection: sqlite3.Connection) -> int:
    """Return the sequence number of the newest message, 0 if there is none."""
    row = connection.execute("SELECT MAX(sequence) FROM events").fetchone()
    return int(row[0] or 0)


def last_sequence_until(connection: sqlite3.Connection, unix_ms: int) -> int:
    """Return the sequence number of the last message that was stored at that time or before, 0 if there is none.

    Times grow with the numbers, so that halving finds it; where a clock was set back, one of the places is found.
    """
    low, high = 0, last_sequence(connection)
    while low < high:
        middle = (low + high + 1) // 2
        row = connection.execute(
            "SELECT sequence, enqueued_ms FROM events WHERE sequence <= ? ORDER BY sequence DESC LIMIT 1", (middle,)
        ).fetchone()
        if row is None or row[1] <= unix_ms:
            low = middle
        else:
            high = int(row[0]) - 1
    return low
