"""What `fieldpost queue` prints and writes; each function returns the exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from host_tools.errors import UserError
from host_tools.queue import report
from host_tools.queue.decode import Decoder
from host_tools.queue.save import save
from host_tools.queue.scan import FoundRing, scan


def stats(file: Path, interval_s: float | None, as_json: bool) -> int:
    """Print what waits, what was lost, and how many hours of readings fit. interval_s: None to tell it from them."""
    rings, journals = _rings(file)
    found = [report.stats(ring, interval_s) for ring in rings]
    if as_json:
        print(json.dumps({"file": str(file), "rings": found, "journals": len(journals)}))
    else:
        for ring in found:
            print(_stats_text(ring))
    return 0


def verify(file: Path, as_json: bool) -> int:
    """Check every frame; 1 if a record is missing."""
    rings, journals = _rings(file)
    found = [report.verification(ring) for ring in rings]
    journal = [report.verification(ring) for ring in journals]
    is_whole = all(ring["whole"] for ring in found)
    if as_json:
        print(json.dumps({"file": str(file), "whole": is_whole, "rings": found, "journals": journal}))
    else:
        for ring in found:
            print(_verification_text(ring))
    return 0 if is_whole else 1


def export(file: Path, out: Path | None, as_csv: bool, pending: bool) -> int:
    """Write every record, oldest first. UserError if one cannot be read."""
    rings, _ = _rings(file)
    for ring in rings:
        missing = report.verification(ring)["missing_records"]
        if missing:
            raise UserError(f"{file}: {missing} records cannot be read; `fieldpost queue salvage` saves the others")
    _write(rings, out, as_csv, pending)
    return 0


def salvage(file: Path, out: Path | None, as_csv: bool, pending: bool) -> int:
    """Write every record that is whole, and say on stderr which are not."""
    rings, _ = _rings(file)
    saved = _write(rings, out, as_csv, pending)
    for ring, count in zip(rings, saved, strict=True):
        found = report.verification(ring)
        line = f"saved {count} records; {found['missing_records']} are missing"
        if found["missing"]:
            line += ": " + _ranges(found["missing"])
        print(line, file=sys.stderr)
    return 0


def _rings(file: Path) -> tuple[list[FoundRing], list[FoundRing]]:
    """Return the rings of records and those of commands' journals."""
    found = scan(file)
    rings = [ring for ring in found if ring.role != "journal"]
    return rings, [ring for ring in found if ring.role == "journal"]


def _write(rings: list[FoundRing], out: Path | None, as_csv: bool, pending: bool) -> list[int]:
    """Write the records of all rings; return how many of each."""
    objects: list[dict[str, Any]] = []
    counts = []
    for ring in rings:
        records = [record for record in ring.records if not pending or record.number > ring.cursor]
        counts.append(len(records))
        several = {"ring": ring.name} if len(rings) > 1 else {}
        objects += [several | found for found in Decoder(ring).objects(records)]
    save(objects, "csv" if as_csv else "jsonl", out)
    return counts


def _stats_text(ring: dict[str, Any]) -> str:
    kept = ", ".join(f"{count} {kind}" for kind, count in ring["kept"].items()) or "nothing"
    if ring["role"] == "urgent":
        holds = "answers and alarms"
    elif ring["hours"] is None:
        holds = f"{ring['readings_capacity']} readings (give --every 1s for hours)"
    else:
        holds = f"{ring['hours']} h of readings every {ring['interval_s']:g} s ({ring['readings_capacity']})"
    lines = [
        f"ring {ring['ring_id']}: {ring['sectors']} sectors, {ring['bytes'] // 1024} KiB, holds {holds}",
        f"  waiting    {ring['pending']} records, confirmed through {ring['confirmed_through']}, "
        f"next {ring['next_number']}",
        f"  kept       {kept} of {ring['boots']} boots",
        f"  lost       {ring['lost_reported']} reported, {ring['lost_unreported']} to be reported",
    ]
    if ring["damaged_stretches"]:
        lines.append(f"  damaged    {ring['damaged_stretches']} stretches: `fieldpost queue verify` lists them")
    return "\n".join(lines)


def _verification_text(ring: dict[str, Any]) -> str:
    lines = [f"ring {ring['ring_id']}: {ring['records']} records, {ring['frames']} frames whole"]
    lines += [f"  damaged: {stretch['bytes']} bytes at {stretch['at']:#x}" for stretch in ring["damage"]]
    lines += [f"  header lost: sector at {at:#x}; its records were found without it" for at in ring["headers_lost"]]
    if ring["whole"]:
        lines.append("  nothing is missing")
    else:
        lines.append(
            f"  missing: {_ranges(ring['missing'])} ({ring['missing_records']} records, "
            f"{ring['missing_pending']} of them not confirmed; a cut in an append uses a number up, too)"
        )
    return "\n".join(lines)


def _ranges(ranges: list[tuple[int, int]]) -> str:
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in ranges[:20]]
    return ", ".join(shown) + (f" and {len(ranges) - 20} more" if len(ranges) > 20 else "")
