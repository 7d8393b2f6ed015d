"""The audit of a board whose lab does not run: its flash image and its hub's store, read where they lie."""

import asyncio
from pathlib import Path

from host_tools.audit import Finding, RingTail, judge, read_tail
from host_tools.emulator.board import EmulatedBoard
from host_tools.hub import read_messages
from host_tools.lab.folder import LabFolder
from host_tools.lab.hardware import board_in_shape, board_shape, ring_regions
from host_tools.lab.settings import remembered


def audit_at_rest(folder: LabFolder) -> Finding:
    """Weigh the hub's store against the flash image. Raises UserError if there are none to read."""
    settings = remembered(folder)
    spec = board_in_shape(settings.board, settings.shape, settings.has_romfs)

    async def tails() -> list[RingTail]:
        # It is never switched on, so that it needs neither an interpreter nor a hub.
        board = EmulatedBoard(folder.board, folder.name, board_shape(spec), Path(), ("", 0))
        try:
            found = (read_tail(region) for region in ring_regions(board, spec))
            return [tail for tail in found if tail is not None]
        finally:
            await board.close()

    on_flash = asyncio.run(tails()) if folder.board.is_dir() else []
    return judge(folder.name, read_messages(folder.hub), on_flash)
