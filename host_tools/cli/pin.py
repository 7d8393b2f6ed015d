"""`fieldpost pin BOARD`: decides once which file of MicroPython is flashed from now on."""

from pathlib import Path
from typing import Annotated

import typer

from host_tools.cli import show
from host_tools.flash import pin


def run(
    board: Annotated[str, typer.Argument(metavar="BOARD", help="A board: pico_w, esp32, ...")],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Its firmware, downloaded and checked by you.")
    ] = None,
) -> None:
    """Pin MicroPython for a board by its SHA-256.

    It stands in boards/BOARD/firmware.toml from then on, and the file in the cache.

    Without FILE the release that is named there is fetched from micropython.org over HTTPS. Compare the SHA-256 that is
    printed with somebody else's; from then on nothing else is accepted under that name.
    """
    progress = show.progress()
    try:
        table, sha256 = pin.pin(board, file, progress)
    finally:
        if isinstance(progress, show.Bar):
            progress.close()
    print(f"{table}: sha256 = {sha256}")
