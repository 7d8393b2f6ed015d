"""SQLite as a queue: journal_mode=WAL, synchronous=FULL, so that a commit is on disk when it returns.

Both are what the SQLite documentation asks for where a commit must survive a power cut (pragma.html#pragma_synchronous
and wal.html). All else is left as it comes, the checkpoint after 1000 pages included.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path


class SqliteOnDisk:
    """One table whose key is the record's number; records that were taken are deleted."""

    title = "SQLite, WAL, synchronous=FULL"

    def __init__(self, folder: Path) -> None:
        self._path = folder / "queue.db"
        self._open()
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS queue (number INTEGER PRIMARY KEY AUTOINCREMENT, payload BLOB NOT NULL)"
        )

    def append(self, payload: bytes) -> None:
        """Insert one record: one commit."""
        self._database.execute("INSERT INTO queue (payload) VALUES (?)", (payload,))

    def append_group(self, payloads: Sequence[bytes]) -> None:
        """Insert some records with one commit."""
        self._database.execute("BEGIN")
        self._database.executemany("INSERT INTO queue (payload) VALUES (?)", [(payload,) for payload in payloads])
        self._database.execute("COMMIT")

    def get_and_ack(self) -> bytes:
        """Select the oldest record and delete it: one commit."""
        return self.get_and_ack_group(1)[0]

    def get_and_ack_group(self, count: int) -> list[bytes]:
        """Select the oldest records and delete them with one commit."""
        rows = self._database.execute("SELECT number, payload FROM queue ORDER BY number LIMIT ?", (count,)).fetchall()
        self._database.execute("DELETE FROM queue WHERE number <= ?", (rows[-1][0],))
        return [payload for _, payload in rows]

    def reopen(self) -> None:
        """Open the database that the file holds."""
        self.close()
        self._open()

    def close(self) -> None:
        """Let go of the files."""
        self._database.close()

    def _open(self) -> None:
        self._database = sqlite3.connect(self._path, isolation_level=None)
        for name, wanted in (("journal_mode", "wal"), ("synchronous", "FULL")):
            self._database.execute(f"PRAGMA {name} = {wanted}")
        # A build of SQLite may refuse WAL; the figures would then not be what their heading says.
        assert self._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert self._database.execute("PRAGMA synchronous").fetchone() == (2,)
