"""A UF2 file, checked whole before it is copied: a drive passes over wrong blocks without a word.

Source: Microsoft, "USB Flashing Format (UF2)".
"""

import struct
from pathlib import Path

from host_tools.errors import UserError
from host_tools.flash.release import Release

_BLOCK = struct.Struct("<8I476sI")
_MAGICS = (0x0A324655, 0x9E5D5157)
_MAGIC_END = 0x0AB16F30
_FLAG_FAMILY = 0x2000
_FLASH_ADDRESS = 0x10000000
_FAMILIES = {
    0xE48BFF56: "rp2040",
    0xE48BFF59: "rp2350",
    0xE48BFF5A: "rp2350 (RISC-V)",
    0xE48BFF5B: "rp2350 (non-secure)",
    0x1C5F21B0: "esp32",
    0xC47E5767: "esp32s3",
    0xD42BA06C: "esp32c3",
}
_ABSOLUTE = 0xE48BFF57  # one such block may come first: a work-around for an erratum of the RP2350


def check_file(path: Path, release: Release, room_bytes: int) -> int:
    """Return how many bytes of flash the file fills. UserError if it is damaged or for another chip.

    room_bytes: what lies before the board's file system, which a firmware must not reach.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if not data or len(data) % _BLOCK.size:
        raise UserError(f"{path} is no UF2 file, or only a part of one: expected a file such as {release.file}")
    expected, filled = 0, 0
    for at in range(0, len(data), _BLOCK.size):
        start0, start1, flags, address, length, number, count, family, _, end = _BLOCK.unpack_from(data, at)
        block = at // _BLOCK.size
        if (start0, start1) != _MAGICS or end != _MAGIC_END:
            raise UserError(f"{path} is damaged: block {block} is no UF2 block; fetch the file again")
        if family == _ABSOLUTE and block == 0:
            continue
        if not flags & _FLAG_FAMILY or _FAMILIES.get(family) != release.chip:
            found = _FAMILIES.get(family, f"family {family:#x}") if flags & _FLAG_FAMILY else "no chip in particular"
            raise UserError(f"{path} is for {found}, not for {release.chip}: expected a file such as {release.file}")
        if number != expected:
            raise UserError(f"{path} is damaged: block {number} stands where block {expected} belongs")
        expected += 1
        filled = max(filled, address + length - _FLASH_ADDRESS)
        if address < _FLASH_ADDRESS or filled > room_bytes:
            raise UserError(
                f"{path} does not fit: it reaches to {filled} bytes, and the board's files begin at {room_bytes}"
            )
        if at + _BLOCK.size == len(data) and expected != count:
            raise UserError(f"{path} ends early: it has {expected} of {count} blocks; fetch the file again")
    return filled
