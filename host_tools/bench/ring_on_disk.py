"""The ring in a file, as on a Raspberry Pi: fdatasync on a file that was written through once."""

from collections.abc import Sequence
from pathlib import Path

from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.ports.file_region import FileRegion
from fieldpost.ring.log import Ring

_KIND = 1
_SECTORS = 256  # 1 MiB


class RingOnDisk:
    """A ring of 1 MiB in `folder`."""

    title = "fieldpost ring"

    def __init__(self, folder: Path) -> None:
        self._path = str(folder / "ring")
        self._buffer = memoryview(bytearray(RECORD_BYTES_MAX))
        self._open()

    def append(self, payload: bytes) -> None:
        """Store one record: one fdatasync."""
        self._ring.append(_KIND, payload)

    def append_group(self, payloads: Sequence[bytes]) -> None:
        """Store some records with one fdatasync."""
        for payload in payloads:
            self._ring.append(_KIND, payload, sync=False)
        self._ring.sync()

    def get_and_ack(self) -> bytes:
        """Return the oldest record and forget it, durably: more than the agent asks for, as much as the others do."""
        payload = self._next()
        self._ring.forget(self._reader.number)
        self._ring.sync()
        return payload

    def get_and_ack_group(self, count: int) -> list[bytes]:
        """Return the oldest records and forget them with one frame and one fdatasync."""
        found = [self._next() for _ in range(count)]
        self._ring.forget(self._reader.number)
        self._ring.sync()
        return found

    def reopen(self) -> None:
        """Open the ring that the file holds."""
        self.close()
        self._open()

    def close(self) -> None:
        """Let go of the file."""
        self._region.close()

    def _open(self) -> None:
        self._region = FileRegion(self._path, _SECTORS)
        self._ring = Ring(self._region)
        self._reader = self._ring.reader()

    def _next(self) -> bytes:
        length = self._reader.next(self._buffer)
        return bytes(self._buffer[: max(length, 0)])
