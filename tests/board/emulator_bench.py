"""What the tests of the emulator share: a board that runs a given program, and mpremote at its port."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from host_tools.emulator import BoardShape, EmulatedBoard
from host_tools.emulator.watched import WAIT_S

NOWHERE = ("127.0.0.1", 9)


@asynccontextmanager
async def running_board(
    directory: Path,
    micropython: Path,
    files: dict[str, str] | None = None,
    shape: BoardShape | None = None,
    **keys: Any,
) -> AsyncIterator[EmulatedBoard]:
    """Give a board that runs with `files` on it (names and texts), started anew after they were written."""
    board = EmulatedBoard(
        directory, "bench", shape or small_esp32(), micropython, keys.pop("upstream", NOWHERE), **keys
    )
    try:
        await board.power_on()
        if files:
            await board.wait_line("help()")
            for name, text in files.items():
                await put(board, name, text)
            await board.power_cycle(off_s=0)
        yield board
    finally:
        await board.close()


def small_esp32(**keys: Any) -> BoardShape:
    """An ESP32 with a flash that is quickly made."""
    return BoardShape.esp32(flash_bytes=1024 * 1024, queue_bytes=64 * 1024, **keys)


async def put(board: EmulatedBoard, name: str, text: str) -> None:
    """Write a file on the board by its raw prompt."""
    await run(board, f"f = open({name!r}, 'wb')\nf.write({text.encode()!r})\nf.close()")


async def run(board: EmulatedBoard, program: str, timeout_s: float = WAIT_S) -> list[str]:
    """Run `program` at the board's raw prompt, without a reset before; return the lines it printed."""
    lines: list[str] = []
    board.on_line(lines.append)
    board.interrupt()
    board.type("\r\x01")
    await board.wait_line("raw REPL", timeout_s)
    del lines[:]
    board.type(program + "\nprint()\nprint('end of', 'program')\x04")
    try:
        await board.wait_line("end of program", timeout_s)
    finally:
        board.type("\x02")
    return [line.removeprefix(">OK") for line in lines[:-1] if line not in ("", ">OK")]


async def mpremote(board: EmulatedBoard, *arguments: str, timeout_s: float = 300) -> tuple[int, str]:
    """Run mpremote, unmodified; return its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mpremote",
        "connect",
        str(board.serial_port),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(timeout_s):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace")
