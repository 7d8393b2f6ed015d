"""Which kind of board has which chip, and how each is made."""

from pathlib import Path

from host_tools.emulator.bare import stand_in
from host_tools.emulator.bare.esp32 import BareEsp32
from host_tools.emulator.rom_loader import CHIPS
from host_tools.emulator.shape import BoardShape
from host_tools.errors import UserError

Bare = BareEsp32


def new_board(
    kind: str, directory: Path, name: str, shape: BoardShape, micropython: Path, upstream: tuple[str, int]
) -> Bare:
    """Return the board `name` of `kind`, unplugged. UserError if there is no such board to emulate."""
    _check(kind)
    return BareEsp32(directory, name, CHIPS[kind], shape, micropython, upstream)


def stand_in_firmware(kind: str) -> bytes:
    """Return a firmware file that such a board boots. UserError if there is no such board to emulate."""
    _check(kind)
    return stand_in.esp32_firmware(CHIPS[kind])


def _check(kind: str) -> None:
    if kind not in CHIPS:
        raise UserError(
            f"there is no emulated board without a program of kind {kind}: choose one of {', '.join(CHIPS)}"
        )
