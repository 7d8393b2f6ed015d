"""The hub's SQLite file: its tables, and how it is opened.

WAL with synchronous=FULL: a commit that returned survives kill -9 and the loss of power (SQLite
documentation, "PRAGMA synchronous").
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Final

from host_tools.errors import UserError
from host_tools.hub.store import event_packet
from host_tools.private_file import make_private

FILE_NAME: Final = "hub.sqlite3"
VERSION: Final = 3

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS devices (
    id TEXT PRIMARY KEY,
    generation_id TEXT NOT NULL,
    status TEXT NOT NULL,
    primary_key TEXT NOT NULL,
    secondary_key TEXT NOT NULL,
    authentication TEXT NOT NULL DEFAULT 'sas',
    primary_thumbprint TEXT NOT NULL DEFAULT '',
    secondary_thumbprint TEXT NOT NULL DEFAULT '',
    status_reason TEXT NOT NULL DEFAULT '',
    revision INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE TABLE IF NOT EXISTS events (
    sequence INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    device_id TEXT NOT NULL,
    enqueued_ms INTEGER NOT NULL,
    packets BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS commands (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    system TEXT NOT NULL,
    properties TEXT NOT NULL,
    body BLOB NOT NULL,
    enqueued_ms INTEGER NOT NULL,
    expiry_ms INTEGER,
    delivery_count INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'enqueued',
    packet_id INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS commands_waiting ON commands (device_id, sequence) WHERE state = 'enqueued';
CREATE TABLE IF NOT EXISTS feedback (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    record TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS sessions (device_id TEXT PRIMARY KEY, subscriptions TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS twins (device_id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS authorities (name TEXT PRIMARY KEY, pem TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS enrollments (kind TEXT, id TEXT, document TEXT NOT NULL, PRIMARY KEY (kind, id)) STRICT;
CREATE TABLE IF NOT EXISTS registrations (id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
"""

# From a version to the next one, before the tables that are missing are made.
_MIGRATIONS: Final = {
    1: """
ALTER TABLE devices ADD COLUMN authentication TEXT NOT NULL DEFAULT 'sas';
ALTER TABLE devices ADD COLUMN primary_thumbprint TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN secondary_thumbprint TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN status_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
ALTER TABLE commands ADD COLUMN packet_id INTEGER NOT NULL DEFAULT 0;
DELETE FROM commands WHERE state <> 'enqueued';
""",
    2: "",
}
# Before version 3 each message was a row, taken apart: its properties as JSON.
_EVENTS_TAKEN_APART: Final = """
ALTER TABLE events RENAME TO events_taken_apart;
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY, count INTEGER NOT NULL, device_id TEXT NOT NULL, enqueued_ms INTEGER NOT NULL,
    packets BLOB NOT NULL
) STRICT;
INSERT INTO events
    SELECT sequence, 1, device_id, enqueued_ms, as_packet(device_id, system, properties, duplicate, body)
    FROM events_taken_apart;
DROP TABLE events_taken_apart;
"""


def open_for_writing(directory: Path) -> sqlite3.Connection:
    """Open or create the file; the connection may be handed to the writer's thread.

    UserError if the file cannot be used; it is left as it is.
    """
    path = directory / FILE_NAME
    try:
        make_private(path)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            connection.close()
            raise UserError(
                f"{path} was written by a newer fieldpost (version {version}, known is {VERSION}): "
                "update fieldpost or choose another folder"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        migrations = "".join(_MIGRATIONS[older] for older in range(version, VERSION)) if version else ""
        if 0 < version < 3:
            connection.create_function("as_packet", 5, _as_packet, deterministic=True)
            migrations += _EVENTS_TAKEN_APART
        connection.executescript(f"BEGIN IMMEDIATE; {migrations} {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    except (OSError, sqlite3.Error) as error:
        raise UserError(f"the hub cannot use {path}: {error}; move that file away or choose another folder") from error
    return connection


def _as_packet(device_id: str, system: str, properties: str, duplicate: int, body: bytes) -> bytes:
    return event_packet.encode(device_id, json.loads(system), json.loads(properties), body, bool(duplicate))


def open_for_reading(directory: Path) -> sqlite3.Connection:
    """Open the file read-only; sqlite3.OperationalError if there is none."""
    path = (directory / FILE_NAME).resolve()
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, check_same_thread=False)
