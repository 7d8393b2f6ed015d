"""`fieldpost emulate BOARD`: a board without a program, to be flashed like one that has just been unpacked."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from host_tools import boards
from host_tools.emulator.bare import BareBoard, check_kind, new_board, stand_in_firmware
from host_tools.errors import UserError
from host_tools.lab.folder import state_folder
from host_tools.lab.hardware import board_shape
from host_tools.toolchain import micropython

_HUB_PORT = 8883


def run(
    board: Annotated[str, typer.Argument(help="The kind of board: esp32, pico_w.")],
    name: Annotated[str | None, typer.Option(help="Its name; a board of that name keeps its flash.")] = None,
    hub: Annotated[str, typer.Option(help="HOST:PORT of the hub that it will reach.")] = f"127.0.0.1:{_HUB_PORT}",
    stand_in: Annotated[
        Path | None, typer.Option(help="Write a small firmware file for this board here, and end.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show what the board prints.")] = False,
) -> None:
    """Put a new emulated board on the table, until Ctrl-C.

    It has nothing in its flash but what was flashed before: `./flash.sh BOARD --port PORT` does that.
    """
    spec = boards.load(board)
    check_kind(board)
    if stand_in is not None:
        try:
            stand_in.write_bytes(stand_in_firmware(board))
        except OSError as error:
            raise UserError(f"cannot write {stand_in}: {error.strerror}") from error
        print(stand_in)
        return
    folder = state_folder() / "boards" / (name or board)
    bare = new_board(board, folder, name or board, board_shape(spec), micropython.find_or_install(), _address(hub))
    if verbose:
        bare.on_line(lambda line: print(f"board: {line}", file=sys.stderr, flush=True))
    asyncio.run(_until_stopped(bare))


async def _until_stopped(bare: BareBoard) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await bare.plug_in()
    try:
        print(f"ready: {bare.state} in {bare.directory}", flush=True)
        await stopped.wait()
    finally:
        await bare.unplug()


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UserError(f"--hub {text}: expected HOST:PORT, such as 127.0.0.1:{_HUB_PORT}")
    return host, int(port)
