"""`fieldpost outage BOARD DURATION`: cut a board's link for a while."""

from typing import Annotated

import typer

from host_tools.cli.arguments import BoardName
from host_tools.lab.client import ask
from host_tools.lab.folder import LabFolder
from host_tools.lab.quantities import duration_s


def run(
    board: BoardName,
    duration: Annotated[str, typer.Argument(metavar="DURATION", help="How long, such as 20s or 2m.")],
) -> None:
    """Cut an emulated board's link for a while.

    Nothing arrives any more, and nothing is refused either.
    """
    ask(LabFolder(board), "outage", {"seconds": duration_s(duration)})
    print(f"{board}: the link is down for {duration}")
