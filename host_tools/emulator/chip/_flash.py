# The flash chip as the block devices of both ports see it.

import struct

import _wire
from micropython import const

_PAGE_BYTES = const(256)
SECTOR_BYTES = const(4096)
_READ_BYTES = const(256)

_image = open(_wire.config["image"], "rb")
_weak = _wire.config["weak"]
_frame = bytearray(5 + _PAGE_BYTES)


# Reading goes straight to the image, except while a sector in it is weaker than it looks.
def read(offset, buffer):
    if not _weak:
        _image.seek(offset)
        _image.readinto(buffer)
        return
    view = memoryview(buffer)
    for start in range(0, len(view), _READ_BYTES):
        length = min(_READ_BYTES, len(view) - start)
        _wire.call(struct.pack("<BIH", 70, offset + start, length))
        view[start : start + length] = _wire.reply[1 : 1 + length]


# Program inside one page.
def program_page(offset, data):
    struct.pack_into("<BI", _frame, 0, 80, offset)
    end = 5 + len(data)
    _frame[5:end] = data
    _wire.call(memoryview(_frame)[:end])


def erase(sector):
    _wire.call(struct.pack("<BI", 69, sector))
