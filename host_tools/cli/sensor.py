"""`fieldpost sensor BOARD QUANTITY=VALUE...`: change the room that an emulated sensor is in."""

from typing import Annotated

import typer

from host_tools.cli.arguments import BoardName, numbers
from host_tools.lab.client import ask
from host_tools.lab.folder import LabFolder


def run(
    board: BoardName,
    values: Annotated[
        list[str],
        typer.Argument(metavar="QUANTITY=VALUE", help="temperature (C), pressure (hPa), humidity (%)."),
    ],
) -> None:
    """Change the room around an emulated sensor.

    For example: sensor emulator temperature=31.5
    """
    room = ask(LabFolder(board), "sensor", numbers(values))
    print(f"{board}: {room['temperature']:g} C, {room['pressure']:g} hPa, {room['humidity']:g} %")
