"""`fieldpost queue`: what a ring holds, whether it is whole, and everything in it as a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from host_tools.cli.arguments import AsJson
from host_tools.errors import UserError
from host_tools.lab.quantities import duration_s
from host_tools.queue import report
from host_tools.queue.decode import Decoder
from host_tools.queue.save import save
from host_tools.queue.scan import FoundRing, scan

app = typer.Typer(
    help="Look into a queue: a Raspberry Pi's file, or the image of a board's flash. Nothing in it is changed.",
    no_args_is_help=True,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The queue's file, or an image of the flash.")]
Out = Annotated[Path | None, typer.Option("--out", help="Write to this file instead of stdout.")]
Csv = Annotated[bool, typer.Option("--csv", help="A table instead of JSON Lines.")]
Pending = Annotated[bool, typer.Option("--pending", help="Only what the hub has not confirmed.")]


@app.command()
def stats(
    file: File,
    as_json: AsJson = False,
    every: Annotated[
        str | None, typer.Option("--every", help="Time between readings, such as 1s; else told from the readings.")
    ] = None,
) -> None:
    """Say what waits, what was lost, and how many hours of readings fit."""
    rings, journals = _rings(file)
    interval_s = None if every is None else duration_s(every)
    found = [report.stats(ring, interval_s) for ring in rings]
    if as_json:
        print(json.dumps({"file": str(file), "rings": found, "journals": len(journals)}))
        return
    for ring in found:
        print(_stats_text(ring))


@app.command()
def verify(file: File, as_json: AsJson = False) -> None:
    """Check every frame. Exit 1 if a record is missing."""
    rings, journals = _rings(file)
    found = [report.verification(ring) for ring in rings]
    journal = [report.verification(ring) for ring in journals]
    is_whole = all(ring["whole"] for ring in found)
    if as_json:
        print(json.dumps({"file": str(file), "whole": is_whole, "rings": found, "journals": journal}))
    else:
        for ring in found:
            print(_verification_text(ring))
    if not is_whole:
        raise typer.Exit(1)


@app.command()
def export(file: File, out: Out = None, as_csv: Csv = False, pending: Pending = False) -> None:
    """Write every record, oldest first; refuses a damaged ring (see salvage)."""
    rings, _ = _rings(file)
    for ring in rings:
        missing = report.verification(ring)["missing_records"]
        if missing:
            raise UserError(f"{file}: {missing} records cannot be read; `fieldpost queue salvage` saves the others")
    _write(rings, out, as_csv, pending)


@app.command()
def salvage(file: File, out: Out = None, as_csv: Csv = False, pending: Pending = False) -> None:
    """Save what can be saved from a damaged ring, and say what cannot."""
    rings, _ = _rings(file)
    saved = _write(rings, out, as_csv, pending)
    for ring in rings:
        found = report.verification(ring)
        line = f"saved {saved[ring.ring_id]} records; {found['missing_records']} are missing"
        if found["missing"]:
            line += ": " + _ranges(found["missing"])
        print(line, file=sys.stderr)


def _rings(file: Path) -> tuple[list[FoundRing], list[FoundRing]]:
    """Return the rings of records and those of commands' journals."""
    found = scan(file)
    rings = [ring for ring in found if ring.role != "journal"]
    return rings, [ring for ring in found if ring.role == "journal"]


def _write(rings: list[FoundRing], out: Path | None, as_csv: bool, pending: bool) -> dict[int, int]:
    """Write the records of all rings; return how many of each."""
    objects: list[dict[str, Any]] = []
    counts = {}
    for ring in rings:
        records = [record for record in ring.records if not pending or record.number > ring.cursor]
        counts[ring.ring_id] = len(records)
        several = {"ring": f"{ring.ring_id:08x}"} if len(rings) > 1 else {}
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
