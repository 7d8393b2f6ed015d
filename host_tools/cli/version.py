"""`fieldpost --version`."""

from importlib.metadata import version
from typing import Annotated

import typer


def _print(wanted: bool) -> None:
    if wanted:
        print(f"fieldpost {version('fieldpost')}")
        raise typer.Exit


def options(
    show: Annotated[bool, typer.Option("--version", callback=_print, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Field sensors to the cloud without losing a reading."""
