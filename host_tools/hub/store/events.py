"""Device-to-cloud messages as they were stored: rows of packets, taken apart when somebody reads them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from host_tools.errors import UserError
from host_tools.hub.store import database, event_packet
from host_tools.hub.store.writer import InsertOfSpans

# A row holds messages of one device that came together, `count` of them, numbered from `sequence` on.
INSERT: Final = InsertOfSpans("events", ("count", "device_id", "enqueued_ms", "packets"))
# Read by pages, so that a slow reader holds neither the whole store in memory nor a snapshot of it open,
# which would keep SQLite from shortening its log.
_PAGE_ROWS: Final = 100


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


@dataclass(frozen=True, slots=True)
class Row:
    """Messages of one device that came together; the first one has the number `sequence`."""

    sequence: int
    count: int
    device_id: str
    enqueued_ms: int
    packets: bytes

    @property
    def last(self) -> int:
        """The number of the last one."""
        return self.sequence + self.count - 1

    def messages(self, after: int = 0) -> Iterator[StoredMessage]:
        """Take apart those with a number above `after`."""
        found = event_packet.decode(self.device_id, self.packets)
        for number, (system, properties, body, duplicate) in enumerate(found, self.sequence):
            if number > after:
                message_id = system.get("message-id")
                yield StoredMessage(
                    number, self.device_id, message_id, system, properties, body, self.enqueued_ms, duplicate
                )


def rows(
    connection: sqlite3.Connection, device_id: str | None, after: int, page_rows: int | None = None
) -> Iterator[Row]:
    """Yield rows with messages numbered above `after`, oldest first, until there is none left."""
    first = connection.execute("SELECT MAX(sequence) FROM events WHERE sequence <= ?", (after + 1,)).fetchone()[0]
    # The row that `after` is in may go on behind it.
    behind = (first or 1) - 1
    while True:
        page = connection.execute(
            "SELECT sequence, count, device_id, enqueued_ms, packets FROM events"
            " WHERE sequence > ? AND (? IS NULL OR device_id = ?) ORDER BY sequence LIMIT ?",
            (behind, device_id, device_id, page_rows or _PAGE_ROWS),
        ).fetchall()
        if not page:
            return
        for values in page:
            row = Row(*values)
            behind = row.sequence
            if row.last > after:
                yield row


def row(connection: sqlite3.Connection, sequence: int) -> Row | None:
    """Return the row whose first message has that number, None if there is none."""
    found = connection.execute(
        "SELECT sequence, count, device_id, enqueued_ms, packets FROM events WHERE sequence = ?", (sequence,)
    ).fetchone()
    return Row(*found) if found else None


def read(connection: sqlite3.Connection, device_id: str | None, after: int) -> Iterator[StoredMessage]:
    """Yield messages with a sequence number above `after`, oldest first, until there is none left."""
    for row in rows(connection, device_id, after):
        yield from row.messages(after)


def read_messages(directory: Path, device_id: str | None = None, after: int = 0) -> Iterator[StoredMessage]:
    """Yield the messages in a hub's directory, whether that hub runs or not; UserError if there is no store."""
    try:
        with closing(database.open_for_reading(directory)) as connection:
            yield from read(connection, device_id, after)
    except sqlite3.Error as error:
        raise UserError(f"no readable hub store in {directory}: {error}; start the hub there first") from error


def last_sequence(connection: sqlite3.Connection) -> int:
    """Return the sequence number of the newest message, 0 if there is none."""
    row = connection.execute("SELECT sequence + count - 1 FROM events ORDER BY sequence DESC LIMIT 1").fetchone()
    return int(row[0]) if row else 0


def last_sequence_until(connection: sqlite3.Connection, unix_ms: int) -> int:
    """Return the sequence number of the last message that was stored at that time or before, 0 if there is none.

    Times grow with the numbers, so that halving finds it; where a clock was set back, one of the places is found.
    """
    low, high = 0, last_sequence(connection)
    while low < high:
        middle = (low + high + 1) // 2
        row = connection.execute(
            "SELECT sequence, count, enqueued_ms FROM events WHERE sequence <= ? ORDER BY sequence DESC LIMIT 1",
            (middle,),
        ).fetchone()
        if row is None or row[2] <= unix_ms:
            low = max(middle, row[0] + row[1] - 1 if row else 0)
        else:
            high = int(row[0]) - 1
    return low
