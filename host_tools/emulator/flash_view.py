"""Part of a flash seen as a region (see fieldpost.ring.region), for reading it from the host."""

from collections.abc import Sequence
from typing import Any, Protocol


class Flash(Protocol):
    """What a view needs of a flash; memory: its bytes."""

    sector_bytes: int
    page_bytes: int
    memory: Any


class FlashView:
    """Sectors of `flash`, in the order of `sectors`; they need not be neighbours. It reads and never writes.

    Reading counts no operation and asks no power: the host looks at the silicon, not through the chip.
    """

    is_cached = False
    group_records = 1

    def __init__(self, flash: Flash, sectors: Sequence[int], unit_bytes: int = 1) -> None:
        self.sector_bytes: int = flash.sector_bytes
        self.page_bytes: int = flash.page_bytes
        self.unit_bytes = unit_bytes
        self.sector_count = len(sectors)
        self._memory = flash.memory
        self._sectors = sectors

    def read(self, offset: int, buffer: Any) -> None:
        """Fill `buffer` from `offset` of the view; ValueError outside of it."""
        end = offset + len(buffer)
        if offset < 0 or end > self.sector_count * self.sector_bytes:
            raise ValueError(f"bytes {offset} to {end} of {self.sector_count * self.sector_bytes}")
        done = 0
        while done < len(buffer):
            sector, inside = divmod(offset + done, self.sector_bytes)
            count = min(self.sector_bytes - inside, len(buffer) - done)
            start = self._sectors[sector] * self.sector_bytes + inside
            buffer[done : done + count] = self._memory[start : start + count]
            done += count

    def program(self, offset: int, data: Any) -> None:
        """Refuse: OSError."""
        raise OSError("the host reads a board's flash and never writes it")

    def erase(self, sector: int) -> None:
        """Refuse: OSError."""
        raise OSError("the host reads a board's flash and never writes it")

    def sync(self) -> None:
        """Nothing was written, so there is nothing to make durable."""
