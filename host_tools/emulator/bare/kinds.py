"""Which kind of board has which chip, and how each is made."""

from pathlib import Path

from host_tools.emulator import bootsel, rom_loader
from host_tools.emulator.bare import stand_in
from host_tools.emulator.bare.board import BareBoard
from host_tools.emulator.bare.esp32 import BareEsp32
from host_tools.emulator.bare.pico import BarePico
from host_tools.emulator.shape import BoardShape
from host_tools.errors import UserError

_ESPS = {name: chip for name, chip in rom_loader.CHIPS.items()}
_PICOS = {"pico_w": bootsel.CHIPS["rp2040"], "pico2_w": bootsel.CHIPS["rp2350"]}


def new_board(
    kind: str, directory: Path, name: str, shape: BoardShape, micropython: Path, upstream: tuple[str, int]
) -> BareBoard:
    """Return the board `name` of `kind`, unplugged. UserError if there is no such board to emulate."""
    if kind in _ESPS:
        return BareEsp32(directory, name, _ESPS[kind], shape, micropython, upstream)
    if kind in _PICOS:
        return BarePico(directory, name, _PICOS[kind], shape, micropython, upstream)
    raise _unknown(kind)


def stand_in_firmware(kind: str) -> bytes:
    """Return a firmware file that such a board boots. UserError if there is no such board to emulate."""
    if kind in _ESPS:
        return stand_in.esp32_firmware(_ESPS[kind])
    if kind in _PICOS:
        return stand_in.pico_firmware(_PICOS[kind])
    raise _unknown(kind)


def _unknown(kind: str) -> UserError:
    return UserError(f"there is no unpacked board of kind {kind} to emulate: choose one of {', '.join(_ESPS | _PICOS)}")
