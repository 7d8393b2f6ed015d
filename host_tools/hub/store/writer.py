"""One thread that writes, and commits everything that came while it was committing.

So a message costs a share of one sync instead of a sync of its own, and the event loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any

# Bounds the time that the first of a group waits for the rest of it.
_STATEMENTS_PER_COMMIT_MAX = 2000

Done = Callable[[int], None]
_Job = tuple[str, Sequence[Any], Done | None]


class Writer:
    """Statements in the order of `submit`; each `done` is called in the event loop, after the commit."""

    def __init__(self, connection: sqlite3.Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._loop = loop
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="hub-writer", daemon=True)
        self.error: sqlite3.Error | None = None
        self._thread.start()

    def submit(self, statement: str, values: Sequence[Any], done: Done | None = None) -> None:
        """Write soon. `done` gets the row id of the statement once it is durable; never if the disk fails."""
        self._jobs.put((statement, values, done))

    async def write(self, statement: str, values: Sequence[Any]) -> int:
        """Write and return the row id once it is durable."""
        durable = self._loop.create_future()
        self.submit(statement, values, durable.set_result)
        return int(await durable)

    def close(self) -> None:
        """Commit what is waiting and close the file."""
        self._jobs.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while True:
            jobs = self._next_group()
            group = [job for job in jobs if job is not None]
            if group and self.error is None:
                try:
                    done = self._commit(group)
                except sqlite3.Error as error:
                    # Nothing of this group is promised: no acknowledgement leaves, and none will.
                    self.error = error
                else:
                    self._loop.call_soon_threadsafe(_call_all, done)
            if len(group) < len(jobs):
                return

    def _next_group(self) -> list[_Job | None]:
        jobs = [self._jobs.get()]
        while jobs[-1] is not None and len(jobs) < _STATEMENTS_PER_COMMIT_MAX:
            try:
                jobs.append(self._jobs.get_nowait())
            except queue.Empty:
                break
        return jobs

    def _commit(self, group: list[_Job]) -> list[tuple[Done, int]]:
        done = []
        self._connection.execute("BEGIN IMMEDIATE")
        for statement, values, callback in group:
            cursor = self._connection.execute(statement, values)
            if callback is not None:
                done.append((callback, cursor.lastrowid or 0))
        self._connection.execute("COMMIT")
        return done


def _call_all(callbacks: list[tuple[Done, int]]) -> None:
    for callback, row_id in callbacks:
        callback(row_id)
