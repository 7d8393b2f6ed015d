"""One thread that writes, and commits everything that came while it was committing.

So a message costs a share of one sync instead of a sync of its own, and the event loop never waits for the disk.

    loop    submit a  submit b c d ...                 done a        done b c d
    thread            BEGIN a COMMIT  BEGIN b c d COMMIT
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

log = logging.getLogger("fieldpost.hub")

# Bounds the time that the first of a group waits for the rest of it.
_STATEMENTS_PER_COMMIT_MAX: Final = 2000
_ROWS_PER_STATEMENT_MAX: Final = 256

Done = Callable[[int], None]
Failed = Callable[[Exception], None]


@dataclass(frozen=True, eq=False)
class Insert:
    """A statement that adds one row. Neighbours with the same one are written by one call into SQLite.

    Each call hands the interpreter's lock over and waits to get it back, which costs more than the row does.
    """

    table: str
    columns: tuple[str, ...]

    def of_rows(self, count: int) -> str:
        """Return the SQL that adds `count` rows."""
        row = f"({', '.join('?' * len(self.columns))})"
        return f"INSERT INTO {self.table} ({', '.join(self.columns)}) VALUES {', '.join([row] * count)}"


class InsertOfSpans(Insert):
    """Each row stands for as many numbers as its first column, `count`, says. It is keyed by the first of them.

    The column for that, `sequence`, is not among the values: the writer counts.
    """

    def of_rows(self, count: int) -> str:
        row = f"({', '.join('?' * (len(self.columns) + 1))})"
        return f"INSERT INTO {self.table} (sequence, {', '.join(self.columns)}) VALUES {', '.join([row] * count)}"

    @property
    def next_number(self) -> str:
        """The SQL that tells the number of the next row, NULL or nothing for the first."""
        return f"SELECT sequence + count FROM {self.table} ORDER BY sequence DESC LIMIT 1"


# Writes nothing; its `done` is called when everything before it is durable.
BARRIER: Final = ""


class _Job(NamedTuple):
    statement: str | Insert
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
        self._next_numbers: dict[InsertOfSpans, int] = {}
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="hub-writer", daemon=True)
        self._thread.start()

    def submit(
        self, statement: str | Insert, values: Sequence[Any], done: Done | None = None, failed: Failed | None = None
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
        if all(job.statement == BARRIER for job in group):
            return [0] * len(group)
        try:
            execute("BEGIN IMMEDIATE")
            row_ids: list[int] = []
            for statement, jobs in itertools.groupby(group, lambda job: job.statement):
                rows = [job.values for job in jobs]
                if isinstance(statement, InsertOfSpans):
                    row_ids += self._insert_spans(statement, rows)
                elif isinstance(statement, Insert):
                    row_ids += _insert(self._connection, statement, rows)
                elif statement == BARRIER:
                    row_ids += [0] * len(rows)
                else:
                    row_ids += [execute(statement, row).lastrowid or 0 for row in rows]
            execute("COMMIT")
        except Exception:
            self._next_numbers.clear()
            if self._connection.in_transaction:
                execute("ROLLBACK")
            raise
        return row_ids

    def _insert_spans(self, insert: InsertOfSpans, rows: list[Sequence[Any]]) -> list[int]:
        """Add rows and return their numbers."""
        number = self._next_numbers.get(insert)
        if number is None:
            known = self._connection.execute(insert.next_number).fetchone()
            number = known[0] if known else 1
        numbers = list(itertools.accumulate((row[0] for row in rows), initial=number))
        self._next_numbers[insert] = numbers.pop()
        done = 0
        while done < len(rows):
            count = _rows_at_once(len(rows) - done)
            some = zip(numbers[done : done + count], rows[done : done + count], strict=True)
            values = [value for first, row in some for value in (first, *row)]
            self._connection.execute(insert.of_rows(count), values)
            done += count
        return numbers

    def _group_failed(self, group: list[_Job], error: Exception) -> None:
        for job in group:
            if job.failed is not None:
                _guarded(job.failed, error)
        _guarded(self._failed, error)


def _rows_at_once(left: int) -> int:
    """Powers of two, so that SQLite's compiled statements are found again."""
    return min(_ROWS_PER_STATEMENT_MAX, 1 << left.bit_length() - 1)


def _insert(connection: sqlite3.Connection, insert: Insert, rows: list[Sequence[Any]]) -> list[int]:
    """Add rows and return their ids, which are consecutive: nobody else writes during this transaction."""
    row_ids: list[int] = []
    while len(row_ids) < len(rows):
        count = _rows_at_once(len(rows) - len(row_ids))
        some = rows[len(row_ids) : len(row_ids) + count]
        last = connection.execute(insert.of_rows(count), list(itertools.chain.from_iterable(some))).lastrowid or 0
        row_ids += range(last - count + 1, last + 1)
    return row_ids


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
