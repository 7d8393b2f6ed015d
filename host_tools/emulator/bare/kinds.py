"""Which kind of board has which chip, and how each is made."""

from pathlib import Path

from host_tools.emulator import bootsel, rom_loader
from host_tools.emulator.bare import stand_in
from host_tools.emulator.bare.board import BareBoard
from host_tools.emulator.bare.esp32 import BareEsp32
from host_tools.emulator.bare.pico import BarePico
from host_tools.emulator.shape import BoardShape
from host_tools.errors import UserError

_ESPS = rom_loader.CHIPS
_FLASH_BYTES = {"esp32": 0x40_0000, "esp32c3": 0x40_0000, "esp32s3": 0x80_0000}
_PICOS = {"pico_w": bootsel.CHIPS["rp2040"], "pico2_w": bootsel.CHIPS["rp2350"]}
KINDS = (*_ESPS, *_PICOS)


def check_kind(kind: str) -> None:
    """Raise UserError if there is no such board to emulate."""
    if kind not in KINDS:
        raise UserError(f"there is no unpacked board of kind {kind} to emulate: choose one of {', '.join(KINDS)}")


def new_board(
    kind: str, directory: Path, name: str, shape: BoardShape, micropython: Path, upstream: tuple[str, int]
) -> BareBoard:
    """Return the board `name` of `kind`, unplugged. UserError if there is no such board to emulate."""
    check_kind(kind)
    if kind in _PICOS:
        return BarePico(directory, name, _PICOS[kind], shape, micropython, upstream)
    return BareEsp32(directory, name, _ESPS[kind], shape, micropython, upstream)


def stand_in_firmware(kind: str, version: int = 1, has_romfs: bool = False) -> bytes:
    """Return a firmware file that such a board boots; versions differ in every block. has_romfs: an ESP32's only.

    UserError if there is no such board to emulate.
    """
    check_kind(kind)
    if has_romfs and kind in _PICOS:
        raise UserError("the emulated firmware of a Pico has no ROMFS: leave --romfs out")
    if kind in _PICOS:
        return stand_in.pico_firmware(_PICOS[kind], version=version)
    return stand_in.esp32_firmware(_ESPS[kind], _FLASH_BYTES[kind], version=version, has_romfs=has_romfs)
