"""persist-queue's SQLiteAckQueue, as it comes: WAL, a commit for each put, each get and each ack.

It sets no `synchronous`, so that SQLite's own default holds, which is FULL unless it was built otherwise (SQLite
documentation, compile.html#default_synchronous). It has no calls for groups: those are done one by one.
"""

from collections.abc import Sequence
from pathlib import Path

from persistqueue import SQLiteAckQueue


class PersistQueueOnDisk:
    """An acknowledgement queue in `folder`; rows that were acknowledged stay, as they do unless one clears them."""

    title = "persist-queue, SQLiteAckQueue"

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._queue = SQLiteAckQueue(self._folder)

    def append(self, payload: bytes) -> None:
        """Put one record."""
        self._queue.put(payload)

    def append_group(self, payloads: Sequence[bytes]) -> None:
        """Put some records, each by itself."""
        for payload in payloads:
            self._queue.put(payload)

    def get_and_ack(self) -> bytes:
        """Get the oldest record and acknowledge it: two commits."""
        item = self._queue.get(block=False, raw=True)
        self._queue.ack(id=item["pqid"])
        return bytes(item["data"])

    def get_and_ack_group(self, count: int) -> list[bytes]:
        """Get and acknowledge some records, each by itself."""
        return [self.get_and_ack() for _ in range(count)]

    def reopen(self) -> None:
        """Open the queue that the folder holds."""
        self.close()
        self._queue = SQLiteAckQueue(self._folder)

    def close(self) -> None:
        """Let go of the files."""
        self._queue.close()
