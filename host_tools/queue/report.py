"""What a ring holds, and for how many hours it could: numbers for people and for `--json`."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from statistics import median
from typing import Any

from fieldpost.limits import STAMP_BYTES
from fieldpost.records import schema

from host_tools.queue.capacity import READING_BYTES, readings_per_sector
from host_tools.queue.image import SECTOR_BYTES
from host_tools.queue.scan import FoundRing, Record

_KINDS = {
    schema.READING: "readings",
    schema.BOOT: "boots",
    schema.ANCHOR: "anchors",
    schema.RESULT: "results",
    schema.SCHEMA: "schemas",
    schema.ALARM: "alarms",
}


def stats(ring: FoundRing, interval_s: float | None = None) -> dict[str, Any]:
    """Return the state of a ring. interval_s: between two readings; None takes what the readings themselves say."""
    records = ring.records
    if interval_s is None:
        interval_s = _interval_s(records)
    capacity = _readings_that_fit(ring, records)
    pending = [record for record in records if record.number > ring.cursor]
    return {
        "ring_id": ring.name,
        "role": ring.role,
        "sectors": ring.size,
        "bytes": ring.size * SECTOR_BYTES,
        "next_number": ring.next_number,
        "first_kept": records[0].number if records else None,
        "confirmed_through": ring.cursor,
        "pending": len(pending),
        "lost_reported": ring.lost,
        "lost_unreported": _lost_unreported(ring, records),
        "kept": dict(Counter(_KINDS.get(record.kind, "others") for record in records)),
        "boots": len({schema.boot_of(record.payload) for record in records if len(record.payload) >= STAMP_BYTES}),
        "interval_s": interval_s,
        "readings_capacity": capacity,
        "hours": None if interval_s is None or ring.role == "urgent" else round(capacity * interval_s / 3600, 2),
        "damaged_stretches": len(ring.damage),
    }


def verification(ring: FoundRing) -> dict[str, Any]:
    """Return what every frame of a ring says about itself. missing: numbers that no whole frame has."""
    missing = ring.missing()
    return {
        "ring_id": ring.name,
        "role": ring.role,
        "sectors": ring.size,
        "frames": sum(len(part.records) + part.acknowledgements for part in ring.sectors),
        "records": len(ring.records),
        "headers_lost": [part.at for part in ring.sectors if not part.has_header],
        "damage": [{"at": at, "bytes": length} for at, length in ring.damage],
        "missing": missing,
        "missing_records": sum(last - first + 1 for first, last in missing),
        "missing_pending": sum(last - max(first, ring.cursor + 1) + 1 for first, last in missing if last > ring.cursor),
        "whole": not missing,
    }


def _lost_unreported(ring: FoundRing, records: list[Record]) -> int:
    """Numbers that were overwritten before the hub had them, and that it has not been told of yet."""
    return max(0, records[0].number - ring.cursor - 1) if records else 0


def _interval_s(records: list[Record]) -> float | None:
    """Return the median time between readings of one boot, None if there are no two."""
    readings = [record.payload for record in records if record.kind == schema.READING]
    steps = [
        schema.uptime_ms_of(later) - schema.uptime_ms_of(earlier)
        for earlier, later in pairwise(readings)
        if schema.boot_of(earlier) == schema.boot_of(later)
    ]
    return median(steps) / 1000 if steps else None


def _readings_that_fit(ring: FoundRing, records: list[Record]) -> int:
    """Return how many readings are kept for certain: one sector is always open or about to be overwritten."""
    full = [part for part in ring.sectors[:-1] if part.has_header and not part.damage]
    readings = [sum(1 for record in part.records if record.kind == schema.READING) for part in full]
    if sum(readings):
        return int(sum(readings) / len(readings) * (ring.size - 1))
    payload = next((len(r.payload) for r in records if r.kind == schema.READING), READING_BYTES)
    return readings_per_sector(payload) * (ring.size - 1)
