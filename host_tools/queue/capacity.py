"""How many readings a ring holds, and how many sectors a number of hours takes (docs/ring-format.md)."""

from __future__ import annotations

import math

from fieldpost.limits import RING_SECTORS_MIN
from fieldpost.ring import frame, sector

from host_tools.queue.image import PAGE_BYTES, SECTOR_BYTES

# A reading of a BME280; what a sector tells of schema and time beside its readings.
READING_BYTES = 17
_EXPLANATION_BYTES = (63, 14)
_ALIGN = 4


def readings_per_sector(reading_bytes: int = READING_BYTES) -> int:
    """Return how many readings a sector takes beside its header and its explanation."""
    size = frame.size(reading_bytes, _ALIGN)
    head = frame.aligned(sector.HEADER_BYTES, _ALIGN) + sum(frame.size(n, _ALIGN) for n in _EXPLANATION_BYTES)
    return int(max(0, PAGE_BYTES - head) // size + (SECTOR_BYTES // PAGE_BYTES - 1) * (PAGE_BYTES // size))


def sectors_for(hours: float, interval_s: float, reading_bytes: int = READING_BYTES) -> int:
    """Return how many sectors keep `hours` of readings, one every `interval_s`: one more is always being reused."""
    readings = math.ceil(hours * 3600 / interval_s)
    return max(RING_SECTORS_MIN, -(-readings // readings_per_sector(reading_bytes)) + 1)


def hours_of(sectors: int, interval_s: float, reading_bytes: int = READING_BYTES) -> float:
    """Return for how many hours of readings `sectors` have room for certain."""
    return (sectors - 1) * readings_per_sector(reading_bytes) * interval_s / 3600
