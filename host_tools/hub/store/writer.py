"""Writes, and commits everything that came while it was committing: a message costs a share of one sync.

    loop    submit b c d ...       BEGIN b c d COMMIT, done b c d
    thread  ... the same, while the disk is slow; moves the rest of the log into the file

Where a sync takes a fraction of a millisecond, handing it to another thread and hearing of its end costs more than the
sync itself, so the event loop does it. As soon as one takes long, a thread does it, until they are quick again.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import operator
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from host_tools.hub.store.log import Log

log = logging.getLogger("fieldpost.hub")

# Bounds the time that the first of a group waits for the rest of it.
_JOBS_PER_COMMIT_MAX: Final = 500
_BYTES_PER_COMMIT_MAX: Final = 4 << 20
_ROWS_PER_STATEMENT_MAX: Final = 256
# Up to so many rows there is a statement for each number of them.
_ROWS_EXACTLY_MAX: Final = 32
# A commit that takes longer is not for the event loop; nor are so many after it.
_SLOW_S: Final = 0.005
_GROUPS_AFTER_A_SLOW_ONE: Final = 20
# How long another writer of the file is waited for.
_BUSY_S: Final = 5.0
_BUSY_STEP_S: Final = 0.01
# A row is a share of a page at least.
_ROW_BYTES: Final = 256

_CALLBACK_FAILED: Final = "a callback after a commit failed"

Done = Callable[[int], None]
Failed = Callable[[Exception], None]


@dataclass(frozen=True, eq=False)
class Insert:
    """A statement that adds one row. Neighbours with the same one are written by one call into SQLite.

    Each call hands the interpreter's lock over and waits to get it back, which costs more than the row does.
    """

    table: str
    columns: tuple[str, ...]

    @lru_cache(maxsize=64)  # noqa: B019 - there is a handful of them, made once
    def of_rows(self, count: int) -> str:
        """Return the SQL that adds `count` rows."""
        row = f"({', '.join('?' * len(self.columns))})"
        return f"INSERT INTO {self.table} ({', '.join(self.columns)}) VALUES {', '.join([row] * count)}"


class InsertOfSpans(Insert):
    """Each row stands for as many numbers as its first column, `count`, says. It is keyed by the first of them.

    The column for that, `sequence`, is not among the values: the writer counts.
    """

    @lru_cache(maxsize=64)  # noqa: B019
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
    size: int


_STATEMENT: Final = operator.attrgetter("statement")


class _Outcome(NamedTuple):
    """Row ids, or why there are none; and how long it took."""

    row_ids: list[int]
    error: Exception | None
    seconds: float


class Writer:
    """Statements are written in the order of `submit`, which is called in the event loop.

    failed: called in the event loop when a commit fails. Nothing of that group is stored and no `done` of it is
    called; the next group is tried anew, since a full disk may be emptied. told: called after each group, when
    everyone in it has been told.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        loop: asyncio.AbstractEventLoop,
        failed: Failed,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._failed = failed
        self._told = told
        self._next_numbers: dict[InsertOfSpans, int] = {}
        self._jobs: list[_Job] = []
        # Submitted, and neither written nor given up.
        self.pending_bytes = 0
        self._is_due = False
        self._thread = ThreadPoolExecutor(1, "hub-writer")
        self._is_thread_at_work = False
        # So many groups more go to the thread.
        self._for_the_thread = 0
        self._idle: asyncio.Future[None] | None = None
        self._log = Log(connection, loop, self._be_due)
        # Who else writes into the file may be waited for in the thread, not here.
        connection.execute("PRAGMA busy_timeout = 0")

    def submit(
        self, statement: str | Insert, values: Sequence[Any], done: Done | None = None, failed: Failed | None = None
    ) -> None:
        """Write soon, then call `done` with the row id, or `failed`; both in the event loop, after the commit."""
        size = _size(values)
        self.pending_bytes += size
        self._jobs.append(_Job(statement, values, done, failed, size))
        self._be_due()

    async def close(self) -> None:
        """Commit what is waiting and close the file."""
        while self._jobs or self._is_thread_at_work:
            self._idle = self._loop.create_future()
            self._be_due()
            await self._idle
        await self._log.close()
        # Closing moves the log into the file.
        await self._loop.run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    def _be_due(self) -> None:
        if not self._is_due and not self._is_thread_at_work:
            self._is_due = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._is_due = False
        if self._log.is_rest_due:
            self._is_thread_at_work = True
            moved = self._loop.run_in_executor(self._thread, self._log.move_rest, self._connection)
            moved.add_done_callback(lambda _: self._rest_moved())
            return
        if not self._jobs or self._log.is_behind:
            return
        count = _count_for_a_commit(self._jobs)
        group, self._jobs = self._jobs[:count], self._jobs[count:]
        if not self._for_the_thread:
            outcome = self._write(group)
            if not _is_busy(outcome.error):
                self._end(group, outcome)
                return
        self._is_thread_at_work = True
        future = self._thread.submit(self._write_patiently, group)
        future.add_done_callback(
            lambda ended: self._loop.call_soon_threadsafe(self._thread_ended, group, ended.result())
        )

    def _rest_moved(self) -> None:
        self._is_thread_at_work = False
        self._log.rest_moved()
        self._go_on()

    def _thread_ended(self, group: list[_Job], outcome: _Outcome) -> None:
        self._is_thread_at_work = False
        self._for_the_thread = max(0, self._for_the_thread - 1)
        self._end(group, outcome)

    def _end(self, group: list[_Job], outcome: _Outcome) -> None:
        if outcome.seconds > _SLOW_S:
            self._for_the_thread = _GROUPS_AFTER_A_SLOW_ONE
        size = sum(job.size for job in group)
        self.pending_bytes -= size
        if outcome.error is None:
            self._log.grew(size)
            _group_done(group, outcome.row_ids)
        else:
            self._group_failed(group, outcome.error)
        self._told()
        self._go_on()

    def _go_on(self) -> None:
        if self._jobs or self._log.is_rest_due:
            self._be_due()
        elif self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _write_patiently(self, group: list[_Job]) -> _Outcome:
        """In the thread: wait for who else writes."""
        deadline = time.monotonic() + _BUSY_S
        outcome = self._write(group)
        while _is_busy(outcome.error) and time.monotonic() < deadline:
            time.sleep(_BUSY_STEP_S)
            outcome = self._write(group)
        return outcome

    def _write(self, group: list[_Job]) -> _Outcome:
        began = time.monotonic()
        try:
            row_ids = self._commit(group)
        except Exception as error:  # whatever it is, silence would hang every device
            return _Outcome([], error, 0.0)
        return _Outcome(row_ids, None, time.monotonic() - began)

    def _commit(self, group: list[_Job]) -> list[int]:
        execute = self._connection.execute
        statements = [(key, [job.values for job in jobs]) for key, jobs in itertools.groupby(group, _STATEMENT)]
        if all(statement == BARRIER for statement, _ in statements):
            return [0] * len(group)
        first, first_rows = statements[0]
        row_ids: list[int] = []
        try:
            if len(statements) == 1 and isinstance(first, Insert) and len(first_rows) <= _ROWS_EXACTLY_MAX:
                row_ids = self._insert(first, first_rows)  # one call, which SQLite commits by itself
            else:
                execute("BEGIN IMMEDIATE")
                for statement, rows in statements:
                    if isinstance(statement, Insert):
                        row_ids += self._insert(statement, rows)
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

    def _insert(self, insert: Insert, rows: list[Sequence[Any]]) -> list[int]:
        """Add rows and return their ids."""
        if isinstance(insert, InsertOfSpans):
            return self._insert_spans(insert, rows)
        row_ids: list[int] = []
        while len(row_ids) < len(rows):
            count = _rows_at_once(len(rows) - len(row_ids))
            some = rows[len(row_ids) : len(row_ids) + count]
            values = list(itertools.chain.from_iterable(some))
            last = self._connection.execute(insert.of_rows(count), values).lastrowid or 0
            # They are consecutive: nobody else writes during this transaction.
            row_ids += range(last - count + 1, last + 1)
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
    """Few, or powers of two, so that SQLite's compiled statements are found again."""
    return left if left <= _ROWS_EXACTLY_MAX else min(_ROWS_PER_STATEMENT_MAX, 1 << left.bit_length() - 1)


def _count_for_a_commit(jobs: list[_Job]) -> int:
    """Return how many of the first jobs are one commit: all, unless that would take long."""
    size = 0
    for count, job in enumerate(jobs[:_JOBS_PER_COMMIT_MAX], 1):
        size += job.size
        if size >= _BYTES_PER_COMMIT_MAX:
            return count
    return min(len(jobs), _JOBS_PER_COMMIT_MAX)


def _size(values: Sequence[Any]) -> int:
    """Return about how much a row adds to the file; what is long comes last in all of them."""
    last = values[-1] if values else None
    return _ROW_BYTES + (len(last) if isinstance(last, bytes | str) else 0)


def _is_busy(error: Exception | None) -> bool:
    """Whether somebody else writes into the file just now."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_BUSY


def _group_done(group: list[_Job], row_ids: list[int]) -> None:
    for job, row_id in zip(group, row_ids, strict=True):
        if job.done is not None:
            try:  # one device's trouble must not keep the acknowledgements of the others in its group
                job.done(row_id)
            except Exception:
                log.exception(_CALLBACK_FAILED)


def _guarded(callback: Callable[[Any], None], argument: object) -> None:
    try:
        callback(argument)
    except Exception:
        log.exception(_CALLBACK_FAILED)
