"""`fieldpost power BOARD on|off|cycle`: an emulated board's plug."""

from enum import StrEnum
from typing import Annotated

import typer

from host_tools.cli.arguments import BoardName
from host_tools.lab.client import ask
from host_tools.lab.folder import LabFolder


class State(StrEnum):
    """What the plug can be told."""

    ON = "on"
    OFF = "off"
    CYCLE = "cycle"


def run(
    board: BoardName, state: Annotated[State, typer.Argument(metavar="STATE", help="on, off, or off and on again.")]
) -> None:
    """Pull or plug an emulated board's supply.

    Off comes at once and without warning, as it does in the field.
    """
    answer = ask(LabFolder(board), "power", {"state": state.value})
    print(f"{board}: power is {'on' if answer['powered'] else 'off'}, boots so far: {answer['boots']}")
