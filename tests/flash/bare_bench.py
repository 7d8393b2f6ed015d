"""What the tests of unpacked boards share: a board on the table, and the tools of its makers, unmodified."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from host_tools import boards
from host_tools.emulator.bare import BareBoard, new_board
from host_tools.lab.hardware import board_shape

_FLASH_SH = Path(__file__).parents[2] / "flash.sh"
NOWHERE = ("127.0.0.1", 9)


@asynccontextmanager
async def on_the_table(
    kind: str, directory: Path, micropython: Path, upstream: tuple[str, int] = NOWHERE, name: str = "bare"
) -> AsyncIterator[BareBoard]:
    """Give a board of `kind` with its cable plugged in; unplug it afterwards."""
    board = new_board(kind, directory, name, board_shape(boards.load(kind)), micropython, upstream)
    await board.plug_in()
    try:
        yield board
    finally:
        await board.unplug()


async def run_tool(module: str, *arguments: object) -> tuple[int, str]:
    """Run a Python tool as a program and return its exit code and everything it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def run_fieldpost(folder: Path, *words: object, timeout_s: float = 600) -> tuple[int, str, str]:
    """Run the command in `folder` as a user does, flash by ./flash.sh; return exit code, stdout and stderr."""
    program = [sys.executable, "-c", "from host_tools.cli import main; main()"]
    # tests/run.sh has set up what flash.sh needs; by hand, it might rebuild the environment that runs the test.
    if words[0] == "flash" and "UMQTT" in os.environ:
        program, words = [str(_FLASH_SH)], words[1:]
    process = await asyncio.create_subprocess_exec(
        *program,
        *map(str, words),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()
