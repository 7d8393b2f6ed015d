"""`fieldpost emulate pico_w --engine rp2040`: a board that runs a firmware file, until it is stopped.

rp2040py (MIT licence) is an optional extra. Its flash completes every operation at once and its one core runs much
slower than a real one, so this engine proves what the firmware does, not how long it takes.
"""

import asyncio
import importlib.util
from collections.abc import Callable
from pathlib import Path

from host_tools.emulator.rp2040.board import PATIENCE, SSID, FirmwareBoard
from host_tools.emulator.shape import BoardShape
from host_tools.errors import UserError


def check_engine() -> None:
    """Raise UserError if rp2040py is not installed."""
    if importlib.util.find_spec("rp2040py") is None:
        raise UserError("the engine rp2040 is not installed: `pip install rp2040py`, or install fieldpost[rp2040]")


async def run(
    directory: Path,
    firmware: Path,
    shape: BoardShape,
    upstream: tuple[str, int],
    stopped: asyncio.Event,
    report: Callable[[str], object],
    on_line: Callable[[str], object] | None = None,
) -> None:
    """Boot `firmware` and keep it running until `stopped`; the flash is kept in `directory` between runs.

    upstream: (host, port) where every TCP connection of the board goes. report: takes a line when the port is there.
    on_line: takes every line that the board prints. UserError if the file is no firmware.
    """
    check_engine()
    board = FirmwareBoard(directory, firmware, shape, upstream, report=report)
    if on_line is not None:
        board.on_line(on_line)
    try:
        await board.power_on()
        report(
            f"ready: running, at {board.serial_port}; network '{SSID}', any password; kept in {directory}\n"
            f"the chip is slower than a board: start its hub as `fieldpost hub run --patience {PATIENCE}`"
        )
        await stopped.wait()
    finally:
        await board.close()
