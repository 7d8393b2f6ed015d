"""The partitions of the built-in events endpoint, and who reads them.

Microsoft, "Read device-to-cloud messages from the built-in endpoint": a device's messages are all in one partition, in
order. Here the sequence number is that of the store and the offset the same as text: within a partition they grow,
with gaps where other partitions have theirs.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from host_tools.hub.store import database

PARTITION_COUNT: Final = 4
READERS_MAX: Final = 5
EMPTY: Final = -1
_ROWS: Final = 50_000


def partition_of(device_id: str) -> int:
    """Return where a device's messages are."""
    return zlib.crc32(device_id.encode()) % PARTITION_COUNT


@dataclass(frozen=True, slots=True)
class Extent:
    """Sequence numbers of the first and the last message of a partition, EMPTY if there is none; Unix ms."""

    first: int = EMPTY
    last: int = EMPTY
    last_enqueued_ms: int = 0


class ReaderRefused(Exception):
    """A reader may not read here, or not any more. is_stolen: because another one has the higher owner level."""

    def __init__(self, reason: str, is_stolen: bool) -> None:
        super().__init__(reason)
        self.is_stolen = is_stolen


@dataclass(frozen=True, eq=False, slots=True)
class Reader:
    """epoch: owner level, None for a reader that does not claim the partition. drop: ends it."""

    epoch: int | None
    drop: Callable[[ReaderRefused], None]


class Partitions:
    """Of one hub. directory: where its store is."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._extents = [Extent()] * PARTITION_COUNT
        self._seen = 0
        self._lock = asyncio.Lock()
        self._readers: dict[tuple[str, int], list[Reader]] = {}

    async def extents(self) -> list[Extent]:
        """Return what each partition holds now. Only what came since the last call is looked at."""
        async with self._lock:
            self._seen, self._extents = await asyncio.to_thread(self._look, self._seen, list(self._extents))
            return self._extents

    def reader_count(self) -> int:
        """How many readers there are now, of all groups and partitions."""
        return sum(map(len, self._readers.values()))

    def join(self, group: str, partition: int, reader: Reader) -> None:
        """Let a reader in, and end those that it outranks; raises ReaderRefused.

        Microsoft, "Event Hubs features", epoch: the highest owner level of a consumer group reads alone; without
        levels up to five read at once.
        """
        others = self._readers.setdefault((group, partition), [])
        highest = max((other.epoch for other in others if other.epoch is not None), default=None)
        if highest is not None and (reader.epoch is None or reader.epoch < highest):
            raise ReaderRefused(f"a receiver with the higher epoch {highest} reads partition {partition}", True)
        if reader.epoch is None:
            if len(others) >= READERS_MAX:
                raise ReaderRefused(f"{READERS_MAX} receivers read partition {partition} in {group} already", False)
        else:
            for other in list(others):
                other.drop(ReaderRefused(f"a receiver with the epoch {reader.epoch} reads from now on", True))
        self._readers[group, partition] = [*self._readers.get((group, partition), []), reader]

    def leave(self, group: str, partition: int, reader: Reader) -> None:
        """The reader is gone."""
        left = [other for other in self._readers.get((group, partition), []) if other is not reader]
        self._readers[group, partition] = left
        if not left:
            del self._readers[group, partition]

    def _look(self, seen: int, extents: list[Extent]) -> tuple[int, list[Extent]]:
        with closing(database.open_for_reading(self._directory)) as connection:
            while rows := self._rows(connection, seen):
                for sequence, count, device_id, enqueued_ms in rows:
                    known = extents[number := partition_of(device_id)]
                    first = sequence if known.first == EMPTY else known.first
                    extents[number] = dataclasses.replace(
                        known, first=first, last=sequence + count - 1, last_enqueued_ms=enqueued_ms
                    )
                seen = rows[-1][0]
        return seen, extents

    def _rows(self, connection: sqlite3.Connection, seen: int) -> list[tuple[int, int, str, int]]:
        return connection.execute(
            "SELECT sequence, count, device_id, enqueued_ms FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (seen, _ROWS),
        ).fetchall()
