"""`fieldpost queue`: what a ring holds, whether it is whole, and everything in it as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from host_tools.cli.arguments import AsJson
from host_tools.lab.quantities import duration_s
from host_tools.queue import commands

app = typer.Typer(
    help="Look into a queue: a file, or the image of a board's flash. Nothing in it is changed.",
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
    """Say what waits, what was lost, and how many hours fit."""
    raise typer.Exit(commands.stats(file, None if every is None else duration_s(every), as_json))


@app.command()
def verify(file: File, as_json: AsJson = False) -> None:
    """Check every frame. Exit 1 if a record is missing."""
    raise typer.Exit(commands.verify(file, as_json))


@app.command()
def export(file: File, out: Out = None, as_csv: Csv = False, pending: Pending = False) -> None:
    """Write every record, oldest first. Refuses a damaged ring: see salvage."""
    raise typer.Exit(commands.export(file, out, as_csv, pending))


@app.command()
def salvage(file: File, out: Out = None, as_csv: Csv = False, pending: Pending = False) -> None:
    """Save what can be saved from a damaged ring; say what cannot."""
    raise typer.Exit(commands.salvage(file, out, as_csv, pending))
