"""`fieldpost top`: the live state of this machine's service."""

from pathlib import Path
from typing import Annotated

import typer

from host_tools.cli.arguments import AsJson
from host_tools.service import top


def run(
    as_json: AsJson = False,
    socket: Annotated[Path, typer.Option("--socket", help="Where the service listens.")] = top.SOCKET,
) -> None:
    """Show the live state of this machine's service."""
    raise typer.Exit(top.run(socket, as_json))
