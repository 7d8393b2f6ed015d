"""Flash blocks that littlefs lends, to the ring or for code, and never touches again.

A littlefs file of exactly one erase block owns that block whole: its first block holds no pointer, file
data carries no checksum (littlefs SPEC.md, CTZ skip-lists), and littlefs moves it only when the file is
written. So a set of such files, never opened again, is a set of blocks that are ours. They are found once,
by a pattern that each file is filled with, and their numbers are kept in a map file; if the file system is
formatted anew, map and files are gone together and the ring starts afresh, under a new id.
"""

import os
import struct
from array import array
from binascii import crc32, hexlify

from fieldpost.errors import ConfigError

_BLOCK_BYTES = 4096
_MARK_BYTES = 16
_BLOCK_COUNT = 4  # ioctl
_RING = "/ring"
_MAP = "/map"
_MAP_NEW = "/map.new"
_MAGIC = b"FPL1"


def lend(flash, count, folder=_RING):
    """Return the numbers (array of 16 bits) of the blocks of `flash` lent by the file system at '/'.

    `count` of them, or as many as were lent before if those were more: they may hold readings.
    flash: rp2.Flash() over the whole storage. folder: keeps the files. Lending takes about 50 ms for each block.
    Raises ConfigError if the file system has no room for any.
    """
    blocks = _read_map(flash, folder)
    if blocks is None:
        _clear(folder)
        blocks = array("H")
    if len(blocks) < count:
        try:
            blocks = blocks + _lend_more(flash, folder, len(blocks), count)
        except ConfigError:
            if not blocks:
                raise
            return blocks  # a smaller ring is better than none
        _write_map(folder, blocks)
    return blocks


def _read_map(flash, folder):
    try:
        with open(folder + _MAP, "rb") as file:
            data = file.read()
    except OSError:
        return None
    if len(data) < 8 or data[:4] != _MAGIC or crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
        return None
    blocks = array("H", data[4:-4])
    total = flash.ioctl(_BLOCK_COUNT, 0)
    for index in range(len(blocks)):
        if blocks[index] >= total or os.stat(_name(folder, index))[6] != _BLOCK_BYTES:
            return None
    return blocks


def _lend_more(flash, folder, first, count):
    """Return the blocks of the files `first` to `count` - 1, which are made anew."""
    token = os.urandom(8)
    try:
        if first == 0:
            os.mkdir(folder)
        block = bytearray(_BLOCK_BYTES)
        for index in range(first, count):
            mark = _mark(token, index)
            for offset in range(0, _BLOCK_BYTES, _MARK_BYTES):
                block[offset : offset + _MARK_BYTES] = mark
            with open(_name(folder, index), "wb") as file:
                file.write(block)
    except OSError as error:
        if first == 0:
            _clear(folder)
        raise ConfigError("the file system cannot lend %d blocks to %s: %s" % (count, folder, error))
    return _find(flash, folder, token, first, count)


def _find(flash, folder, token, first, count):
    """Return the block of each file; every 16 bytes of a block must carry its mark."""
    blocks = array("H", [0xFFFF] * (count - first))
    marks = {_mark(token, index): index for index in range(first, count)}
    head = bytearray(_MARK_BYTES)
    for number in range(flash.ioctl(_BLOCK_COUNT, 0)):
        flash.readblocks(number, head, 0)
        index = marks.get(bytes(head))
        if index is not None and _is_whole(flash, number, head):
            blocks[index - first] = number
    for index in range(first, count):
        if blocks[index - first] == 0xFFFF:
            raise ConfigError("block of %s not found in flash: format the file system" % _name(folder, index))
    return blocks


def _is_whole(flash, number, mark):
    expected = bytes(mark)
    for offset in range(0, _BLOCK_BYTES, _MARK_BYTES):
        flash.readblocks(number, mark, offset)
        if mark != expected:
            return False
    return True


def _write_map(folder, blocks):
    data = _MAGIC + bytes(blocks)
    with open(folder + _MAP_NEW, "wb") as file:
        file.write(data + struct.pack("<I", crc32(data)))
    os.rename(folder + _MAP_NEW, folder + _MAP)  # one littlefs commit: the old name or the new one


def _clear(folder):
    try:
        names = os.listdir(folder)
    except OSError:
        return
    # The map goes first: without it no block is ours, whatever files are left after a cut.
    for name in ("map", "map.new"):
        if name in names:
            os.remove(folder + "/" + name)
            names.remove(name)
    for name in names:
        os.remove(folder + "/" + name)
    os.rmdir(folder)


def _mark(token, index):
    return b"FPlent" + token + struct.pack("<H", index)


def _name(folder, index):
    return "%s/%s" % (folder, str(hexlify(struct.pack(">H", index)), "ascii"))
