"""One thread that writes, and commits everything that came while it was committing.

So a message costs a share of one sync instead of a sync of its own, and the event loop never waits for the disk.

    loop    submit a  submit b c d ...                 done a        done b c d
    thread            BEGIN a COMMIT  BEGIN b c d COMMIT
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

log = logging.getLogger("fieldpost.hub")

# Bounds the time that the first of a group waits for the rest of it.
_STATEMENTS_PER_COMMIT_MAX: Final = 2000

Done = Callable[[int], None]
Failed = Callable[[Exception], None]


class _Job(NamedTuple):
    statement: str
    values: Sequence[Any]
    done: Done | None
    failed: Failed | None


class Writer:
    """Statements are written in the order of `submit`.

    failed: called in the event loop when a commit fails. Nothing of that group is stored and no `done` of it is
    called; the next group is tried anew, since a full disk may be emptied.
    """

    def __init__(self, connection: sqlite3.Connection, loop: asyncio.AbstractEventLoop, failed: Failed) -> None:
        self._connection = connection
        self._loop = loop
        self._failed = failed
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="hub-writer", daemon=True)
        self._thread.start()

    def submit(
        self, statement: str, values: Sequence[Any], done: Done | None = None, failed: Failed | None = None
    ) -> None:
        """Write soon, then call `done` with the row id, or `failed`; both in the event loop, after the commit."""
        self._jobs.put(_Job(statement, values, done, failed))

    def close(self) -> None:
        """Commit what is waiting and close the file. Blocks for the length of a commit."""
        self._jobs.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        is_open = True
        while is_open:
            group, is_open = self._next_group()
            if not group:
                continue
            try:
                row_ids = self._commit(group)
            except Exception as error:  # whatever it is, a silent end of this thread would hang every device
                self._loop.call_soon_threadsafe(self._group_failed, group, error)
            else:
                self._loop.call_soon_threadsafe(_group_done, group, row_ids)

    def _next_group(self) -> tuple[list[_Job], bool]:
        """Return what waits, at least one job unless this is the end; and whether more may come."""
        job = self._jobs.get()
        group: list[_Job] = []
        try:
            while job is not None:
                group.append(job)
                if len(group) == _STATEMENTS_PER_COMMIT_MAX:
                    return group, True
                job = self._jobs.get_nowait()
        except queue.Empty:
            return group, True
        return group, False

    def _commit(self, group: list[_Job]) -> list[int]:
        execute = self._connection.execute
        try:
            execute("BEGIN IMMEDIATE")
            row_ids = [execute(job.statement, job.values).lastrowid or 0 for job in group]
            execute("COMMIT")
        except Exception:
            if self._connection.in_transaction:
                execute("ROLLBACK")
            raise
        return row_ids

    def _group_failed(self, group: list[_Job], error: Exception) -> None:
        for job in group:
            if job.failed is not None:
                _guarded(job.failed, error)
        _guarded(self._failed, error)


def _group_done(group: list[_Job], row_ids: list[int]) -> None:
    for job, row_id in zip(group, row_ids, strict=True):
        if job.done is not None:
            _guarded(job.done, row_id)


def _guarded(callback: Callable[[Any], None], argument: object) -> None:
    """One device's trouble must not keep the acknowledgements of the others in its group."""
    try:
        callback(argument)
    except Exception:
        log.exception("a callback after a commit failed")
