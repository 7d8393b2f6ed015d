"""Lets functions run where their bytecode lies in flash, so that it does not take a board's heap.

A function is an object of MicroPython whose fourth word points to its bytecode (py/objfun.h, `mp_obj_fun_bc_t`). A
module that is imported has its bytecode on the heap. The rp2 port has the whole flash mapped into memory ("RP2040
Datasheet", section 2.6.3; "RP2350 Datasheet", section 4.4), so the word may as well point there, as it does for
modules that are frozen into a firmware. The copy lies in blocks that the file system lends (see lent_blocks).

No function is changed before its bytes in flash were compared with those on the heap: whatever does not fit, be it
another firmware's layout, an older copy or a rotten block, stays on the heap and works as ever.

A start writes what is not in flash as it should be, but not start after start: a supply that fails again and again
while flash is written would let the device never come to its work, and flash would wear. So a mark that is kept with
the blocks counts such starts: eight may write, the next eight may not, and so on until one finds all in its place.

Loaded when a board starts, and unloaded after it. The table is made by host_tools/toolchain/code_table.py.
"""

from binascii import crc32
from struct import pack, unpack_from
from sys import modules

from micropython import const
from uctypes import bytearray_at

from fieldpost.ports.heap import WORD_BYTES, Heap
from fieldpost.ports.lent_blocks import lend
from fieldpost.ports.objects_in_flash import ObjectsInFlash

_TABLE = "/fieldpost/code.bin"
_FOLDER = "/code"
_MARK = "/code/written"
_MARK_FORMAT = "<IB"  # CRC-32 of the table, turn
_TURN_FIRST = const(15)
_TURN_LAST_WRITING = const(8)
_MAGIC = b"FPC1"
_MODULE = const(77)  # "M", "C", "F"
_CLASS = const(67)
_FUNCTION = const(70)
_ROW = "<BBHHI"
_ROW_BYTES = const(10)
_BLOCK_BYTES = const(4096)
_CODE_WORD = const(3)
_IOCTL_COUNT = const(4)
_OBJECT_BLOCKS = 2 * WORD_BYTES  # 32 KB where a word has four bytes


class CodeInFlash:
    """The table, and the blocks where what it tells of lies. Raises OSError if there is no table or no room.

    flash: rp2.Flash() over the whole storage. mapped_at: address of the chip's first byte in memory.
    """

    def __init__(self, flash, mapped_at):
        with open(_TABLE, "rb") as file:
            self._table = file.read()
        if self._table[:4] != _MAGIC:
            raise OSError("%s is not a table of code" % _TABLE)
        self._flash = flash
        self._blocks = lend(flash, self._table[4] + _OBJECT_BLOCKS, _FOLDER)
        self._storage = _find(flash, self._blocks[0], mapped_at)
        self._heap = Heap()
        self._crc = crc32(self._table)
        self._turn = self._read_turn()
        self._is_new = self._turn < 0
        self._writes = None  # until it is known whether this start may

    def move_code(self):
        """Let the functions of all loaded modules run in flash; return how many cannot, since flash has them wrong.

        Whoever calls this must not be among them: its bytecode would be gone when it goes on.
        """
        if self._is_new:
            self._write()
        left = self._point()
        if left and self._may_write() and self._write():
            left = self._point()
        return left

    def is_new(self):
        """Return whether this is the first start with these files, and never again that it is.

        Writing their code takes heap, and what `move_objects` moves would lie elsewhere at the next start.
        """
        if self._is_new:
            self._write_turn(_TURN_FIRST)
        return self._is_new

    def move_objects(self):
        """Move what else the modules that are never unloaded do not change; return what must be kept for them.

        Once: a second walk would begin anew.
        """
        table = self._table
        objects = ObjectsInFlash(self._heap, self._flash, self._storage, self._blocks[table[4] :], self._may_write)
        at = 5
        while at < len(table):
            tag = table[at]
            start = at + 2
            at = start + table[at + 1]
            if tag == _FUNCTION:
                at += _ROW_BYTES
            elif tag == _MODULE:
                name = str(table[start:at], "ascii")
                at += 1 + table[at]
                lasts, name_count, constant_count = unpack_from("<BHH", table, at)
                at += 5
                if lasts and name in modules:
                    objects.move(modules[name], name_count, constant_count)
        if self._writes is None and self._turn != _TURN_FIRST:
            self._write_turn(_TURN_FIRST)
        return objects.close()

    def _may_write(self):
        """Return whether this start, which has found a difference, may write flash."""
        if self._is_new:
            return True
        if self._writes is None:
            self._writes = self._turn >= _TURN_LAST_WRITING
            self._write_turn((self._turn or _TURN_FIRST + 1) - 1)
        return self._writes

    def _read_turn(self):
        """Return the turn from the mark, or -1 if these files have none yet."""
        try:
            with open(_MARK, "rb") as file:
                crc, turn = unpack_from(_MARK_FORMAT, file.read())
        except (OSError, ValueError):
            return -1
        return turn if crc == self._crc and turn <= _TURN_FIRST else -1

    def _write_turn(self, turn):
        with open(_MARK, "wb") as file:
            file.write(pack(_MARK_FORMAT, self._crc, turn))

    def _point(self):
        table, words, blocks, storage = self._table, self._heap.words, self._blocks, self._storage
        base, end = self._heap.base, self._heap.end
        at = 5
        left = 0
        scope = module = path = None
        while at < len(table):
            tag = table[at]
            name_end = at + 2 + table[at + 1]
            name = str(table[at + 2 : name_end], "ascii")
            at = name_end
            if tag == _FUNCTION:
                word, block, place, length, offset = unpack_from(_ROW, table, at)
                at += _ROW_BYTES
                found = scope and scope.get(name)
                if found is None:
                    continue
                address = id(found)
                if word and base <= address < end:
                    address = words[(address - base) // WORD_BYTES + word]
                if not base <= address < end:
                    continue  # built into the firmware
                index = (address - base) // WORD_BYTES + _CODE_WORD
                code = words[index]
                if base <= code < end:
                    target = storage + blocks[block] * _BLOCK_BYTES + place
                    if bytearray_at(code, length) == bytearray_at(target, length):
                        words[index] = target
                    elif not _has(path, offset, bytearray_at(target, length)):
                        left += 1  # else it is one that took the place of what this file has under its name
            elif tag == _CLASS:
                scope = module and (getattr(module, name) if name else module).__dict__
            else:
                path = memoryview(table)[at + 1 : at + 1 + table[at]]
                at += 6 + table[at]
                module = modules.get(name)
                scope = module and module.__dict__
        return left

    def _write(self):
        """Bring the blocks up to date with the modules' files; return whether one was not."""
        table = self._table
        content = bytearray(_BLOCK_BYTES)
        file = None
        number = 0
        has_changed = False
        at = 5
        while at < len(table):
            tag = table[at]
            at += 2 + table[at + 1]
            if tag == _FUNCTION:
                _, block, place, length, offset = unpack_from(_ROW, table, at)
                at += _ROW_BYTES
                if block != number:
                    has_changed |= self._bring(number, content)
                    number = block
                file.seek(offset)
                file.readinto(memoryview(content)[place : place + length])
            elif tag == _MODULE:
                end = at + 1 + table[at]
                if file is not None:
                    file.close()
                file = open(str(table[at + 1 : end], "ascii"), "rb")
                at = end + 5
        file.close()
        return self._bring(number, content) or has_changed

    def _bring(self, number, content):
        """Write one block unless flash has it; return whether it had not.

        With new files always: what reads as right may be what a cut left half done.
        """
        block = self._blocks[number]
        if not self._is_new and bytearray_at(self._storage + block * _BLOCK_BYTES, _BLOCK_BYTES) == content:
            return False
        self._flash.writeblocks(block, content)
        return True


def _has(path, offset, content):
    """Return whether a file has this content there."""
    with open(str(path, "ascii"), "rb") as file:
        file.seek(offset)
        return file.read(len(content)) == content


def _find(flash, block, mapped_at):
    """Return the address in memory of the storage's first byte. OSError if it is not there.

    The storage is the end of the chip, whose size only its firmware knows (ports/rp2/mpconfigport.h).
    """
    sample = bytearray(64)
    flash.readblocks(block, sample, 0)
    storage_bytes = flash.ioctl(_IOCTL_COUNT, 0) * _BLOCK_BYTES
    for size in (1 << 21, 1 << 22, 1 << 23, 1 << 24):
        start = mapped_at + size - storage_bytes
        if size > storage_bytes and bytearray_at(start + block * _BLOCK_BYTES, len(sample)) == sample:
            return start
    raise OSError("the flash is not in memory")
