# The flash chip as the block devices of both ports see it: its image in memory, and its wear (flash_file.py).

import struct

import _wire
import uctypes
from micropython import const

_PAGE_BYTES = const(256)
SECTOR_BYTES = const(4096)
_READ_BYTES = const(256)
_WEAR = const(4096)
_SECTORS = const(64)


_image = open(_wire.config["image"], "r+b")
_cells = memoryview(uctypes.bytearray_at(*_wire.map_file(_image)))
_weak_start, _weak_end = _wire.config["weak"]
_frame = bytearray(5 + _PAGE_BYTES)
_erased = b"\xff" * _PAGE_BYTES
_wear = uctypes.struct(
    _wire.page_at + _WEAR,
    {
        "is_direct": 0 | uctypes.UINT32,
        "programs": 4 | uctypes.UINT32,
        "bytes_programmed": 8 | uctypes.UINT32,
        "erases": 12 | uctypes.UINT32,
        "sectors": (_SECTORS | uctypes.ARRAY, len(_cells) // SECTOR_BYTES | uctypes.UINT32),
    },
    uctypes.NATIVE,
)


# Reading goes straight to the image, except where that is weaker than it looks. Through the file, which takes nothing
# from the heap: while programs are loaded, garbage between what stays would break it up.
def read(offset, buffer):
    if offset >= _weak_end or offset + len(buffer) <= _weak_start:
        _image.seek(offset)
        _image.readinto(buffer)
        return
    view = memoryview(buffer)
    for start in range(0, len(view), _READ_BYTES):
        length = min(_READ_BYTES, len(view) - start)
        _wire.call(struct.pack("<BIH", 70, offset + start, length))
        view[start : start + length] = _wire.reply[1 : 1 + length]


# Return a part of the chip where it is mapped, for reading only.
def mapped(offset, size):
    return _cells[offset : offset + size]


# Let programs read the chip at `address` and after it, over and over, as a chip does that has fewer address lines.
def map_into_memory(address, size):
    for start in range(address, address + size, len(_cells)):
        _wire.map_file(_image, start)


# Program inside one page. What asks for more than clearing bits is for the supervisor to judge.
def program_page(offset, data):
    length = len(data)
    if _wear.is_direct:
        cells = _cells[offset : offset + length]
        wanted = int.from_bytes(data, "little")
        if len(cells) == length and int.from_bytes(cells, "little") & wanted == wanted:
            _wear.programs += 1
            cells[:] = data
            _wear.bytes_programmed += length
            return
    struct.pack_into("<BI", _frame, 0, 80, offset)
    end = 5 + length
    _frame[5:end] = data
    _wire.call(memoryview(_frame)[:end])


def erase(sector):
    start = sector * SECTOR_BYTES
    if _wear.is_direct and start < len(_cells):
        _wear.erases += 1
        _wear.sectors[sector] += 1
        for page in range(start, start + SECTOR_BYTES, _PAGE_BYTES):
            _cells[page : page + _PAGE_BYTES] = _erased
        return
    _wire.call(struct.pack("<BI", 69, sector))
