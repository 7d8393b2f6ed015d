"""A queue's file or the image of a flash as sectors, wherever it begins and ends."""

from __future__ import annotations

import mmap
from typing import Final

from fieldpost.ring import sector

SECTOR_BYTES: Final = 4096
PAGE_BYTES: Final = 256
BLANK: Final = b"\xff" * SECTOR_BYTES
_MAGIC: Final = b"FPR2"


class Image:
    """Sectors by index; the first and the last may be cut off, and read as blank there.

    Where they begin tells the first whole header; without one they begin where the content does.
    """

    def __init__(self, content: mmap.mmap | bytes) -> None:
        self._content = content
        shift = self._first_header() % SECTOR_BYTES
        self._start = shift - SECTOR_BYTES if shift else 0
        self.count = -(-(len(content) - self._start) // SECTOR_BYTES)

    def at(self, index: int) -> int:
        """Return the offset of a sector in the content; negative for a first one that is cut off."""
        return self._start + index * SECTOR_BYTES

    def sector(self, index: int) -> bytes:
        """Return the SECTOR_BYTES of a sector."""
        at = self.at(index)
        part = bytes(self._content[max(at, 0) : at + SECTOR_BYTES])
        return (BLANK[: max(0, -at)] + part).ljust(SECTOR_BYTES, b"\xff")

    def header(self, index: int) -> tuple[int, ...] | None:
        """Return the header of a sector (fieldpost.ring.sector.unpack), None if it has no whole one."""
        return _header(self._content, self.at(index))

    def _first_header(self) -> int:
        at = self._content.find(_MAGIC)
        while at >= 0:
            if _header(self._content, at) is not None:
                return at
            at = self._content.find(_MAGIC, at + 1)
        return 0


def _header(content: mmap.mmap | bytes, at: int) -> tuple[int, ...] | None:
    head = content[at : at + sector.HEADER_BYTES] if at >= 0 else b""
    found: tuple[int, ...] | None = sector.unpack(memoryview(head)) if len(head) == sector.HEADER_BYTES else None
    return found
