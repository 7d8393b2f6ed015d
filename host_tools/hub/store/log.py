"""Moves what was committed from SQLite's log into its file, beside the commits.

SQLite begins the log (WAL) anew once all of it has been moved, which commits that go on prevent (SQLite documentation,
"Write-Ahead Logging"). So a thread moves most of it while others commit, and the little that came meanwhile is moved
between two commits:

    |------- 16 MiB committed -------|-- committed meanwhile --|
    |==== moved beside the commits ==|== moved between two ====| the log begins anew
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

log = logging.getLogger("fieldpost.hub")

# What is written before the log is moved, and as much again before commits wait for a move that goes on.
_BYTES_MAX: Final = 16 << 20
# Commits may wait for the move of so much; if more has come meanwhile, that is moved beside the commits, too.
_REST_BYTES_MAX: Final = 1 << 20
_PASSES_MAX: Final = 3


class Log:
    """The log of the store that `connection` writes. due: called in the event loop when the writer may go on."""

    def __init__(
        self, connection: sqlite3.Connection, loop: asyncio.AbstractEventLoop, due: Callable[[], None]
    ) -> None:
        self.is_rest_due = False
        self._loop = loop
        self._due = due
        self._grown = 0
        self._passes = 0
        self._is_moving = False
        self._is_closed = False
        self._thread = ThreadPoolExecutor(1, "hub-log")
        self._path: str = connection.execute("PRAGMA database_list").fetchone()[2]
        self._connection: sqlite3.Connection | None = None
        connection.execute("PRAGMA wal_autocheckpoint = 0")

    @property
    def is_behind(self) -> bool:
        """Whether so much has come during a move that commits are to wait for its end."""
        return self._is_moving and self._grown >= _BYTES_MAX

    def grew(self, size: int) -> None:
        """So many bytes were committed."""
        self._grown += size
        if self._grown >= _BYTES_MAX and not self._is_moving and not self.is_rest_due:
            self._begin()

    def move_rest(self, connection: sqlite3.Connection) -> None:
        """Move all of it, in any thread; nobody commits meanwhile."""
        try:
            _move(connection)
        except sqlite3.Error as error:
            log.warning(_NOT_MOVED, error)

    def rest_moved(self) -> None:
        """`move_rest` has ended."""
        self.is_rest_due = False
        self._grown = self._passes = 0

    async def close(self) -> None:
        """Wait for a move that goes on. The connection of the writer is still open: the last one to close moves all."""
        self._is_closed = True
        await self._loop.run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _begin(self) -> None:
        self._is_moving = True
        self._grown = 0
        self._passes += 1
        self._loop.run_in_executor(self._thread, self._move_beside).add_done_callback(self._moved)

    def _moved(self, ended: asyncio.Future[bool]) -> None:
        self._is_moving = False
        if self._is_closed:
            return
        if not ended.result():
            self._passes = 0  # once more when there is as much again
        elif self._grown <= _REST_BYTES_MAX or self._passes >= _PASSES_MAX:
            self.is_rest_due = True
        else:
            self._begin()
        self._due()

    # --- in the thread ---

    def _move_beside(self) -> bool:
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
                self._connection.execute("PRAGMA synchronous = FULL")
            _move(self._connection)
        except sqlite3.Error as error:
            log.warning(_NOT_MOVED, error)
            return False
        return True

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()


_NOT_MOVED: Final = "the log of the store could not be moved into its file: %s"


def _move(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
