"""The devices that this user has provisioned and flashed, in SQLite, in a file that only this user can read."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from host_tools.errors import UserError
from host_tools.private_file import make_private

_SCHEMA = """
CREATE TABLE IF NOT EXISTS devices (
    device TEXT PRIMARY KEY,
    board TEXT,
    hub TEXT NOT NULL,
    auth TEXT NOT NULL,
    key TEXT,
    certificate TEXT,
    private_key TEXT,
    group_name TEXT,
    created_s INTEGER NOT NULL,
    flashed_s INTEGER,
    outcome TEXT
) STRICT
"""
KEY = "key"
CERTIFICATE = "certificate"
NOTHING = "nothing"  # of its own: a broker may ask for a password, or for none


@dataclass(frozen=True, repr=False)
class Entry:
    """One device. hub: its host name; key: base64; certificate, private_key: PEM. Its text form says nothing."""

    device: str
    hub: str
    auth: str
    board: str | None = None
    key: str | None = None
    certificate: str | None = None
    private_key: str | None = None
    group_name: str | None = None
    created_s: int = 0
    flashed_s: int | None = None
    outcome: str | None = None


class Inventory:
    """The inventory in `path`, made on first use. UserError if it cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._opened() as connection:
            connection.execute(_SCHEMA)

    def add(self, *entries: Entry) -> None:
        """Keep devices, all or none; those of the same names are replaced, their flashes forgotten."""
        with self._opened() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO devices (device, board, hub, auth, key, certificate, private_key, group_name, "
                "created_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        entry.device,
                        entry.board,
                        entry.hub,
                        entry.auth,
                        entry.key,
                        entry.certificate,
                        entry.private_key,
                        entry.group_name,
                        int(time.time()),
                    )
                    for entry in entries
                ),
            )

    def get(self, device: str) -> Entry | None:
        """Return the device of that name, None if it is not known."""
        return next((entry for entry in self.all() if entry.device == device), None)

    def all(self) -> list[Entry]:
        """Return every device, by name."""
        names = list(Entry.__dataclass_fields__)
        with self._opened() as connection:
            rows = connection.execute(f"SELECT {', '.join(names)} FROM devices ORDER BY device").fetchall()
        return [Entry(**dict(zip(names, row, strict=True))) for row in rows]

    def flashed(self, device: str, board: str, outcome: str) -> None:
        """Note what came of flashing a device; nothing happens if it is not known."""
        with self._opened() as connection:
            connection.execute(
                "UPDATE devices SET board = ?, flashed_s = ?, outcome = ? WHERE device = ?",
                (board, int(time.time()), outcome, device),
            )

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_private(self._path)
            with closing(sqlite3.connect(self._path, timeout=30)) as connection, connection:
                yield connection
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise UserError(f"cannot use the inventory {self._path}: {reason}") from error
