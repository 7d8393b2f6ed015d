"""Moves from a board's heap to its flash what a loaded module does not change any more.

These are its functions (16 bytes each beside their bytecode), the tables of its classes and its own, its constants and
the list of its names: half of what a module takes once its bytecode is gone. A module of which something is assigned
while it runs (`global`) is not for this. MicroPython keeps the like of them in ROM for modules that are frozen into the
firmware (tools/mpy-tool.py), so it never writes there, and a class whose table is marked as fixed refuses to be changed
(py/objtype.c).

The collector does not look into flash. So what is moved may point into the heap only to its module, which must never be
unloaded, and to what the program keeps as well (see `close`). Where a word cannot be understood, things stay where they
are.

What is moved depends on addresses, which are the same at every start of the same firmware with the same files. Flash is
compared, and written where it differs: at the first start after something has changed. Where it differs and may not be
written, things stay where they are.
"""

from struct import pack

from micropython import const
from uctypes import bytearray_at

from fieldpost.ports.heap import WORD_BYTES

_BLOCK_BYTES = const(4096)
# py/objfun.h: type, module, table of inner functions, bytecode, defaults
_MODULE = const(1)
_INNER = const(2)
_CODE = const(3)
_DEFAULTS = const(4)
_DEFAULT_KEYWORDS = const(8)  # py/runtime0.h, MP_SCOPE_FLAG_DEFKWARGS
_KEPT_MAX = const(256)
# py/objlist.h: type, room, length, items
_ITEMS = const(3)
# py/bc.h: type, globals, names, constants
_GLOBALS = const(1)
_NAMES = const(2)
_CONSTANTS = const(3)
# py/obj.h: type, flags and number of entries, size of the table, table
_FLAGS = const(1)
_SIZE = const(2)
_TABLE = const(3)
_FIXED = const(2)
# py/obj.h: type, flags and name, twelve bytes that number the slots, slots
_SLOTS = (WORD_BYTES + 16) // WORD_BYTES
_DICT_SLOT = WORD_BYTES + 4 + 11
# py/objstr.h, py/objtuple.h: type, hash, length, text; type, length, items
_HASH = const(1)
_LENGTH = const(2)
_TEXT = const(3)


def _generator():
    yield


class ObjectsInFlash:
    """A walk over modules, in whose order things lie in the blocks.

    flash: rp2.Flash(). storage: address of its first byte in memory. blocks: numbers of those that may be used.
    may_write(): asked when flash differs, whether it may be written. Call `close` at the end: what is not in flash by
    then is written. It returns what must be kept as long as the program runs, a list of what nobody should look at.
    """

    def __init__(self, heap, flash, storage, blocks, may_write):
        self._heap = heap
        self._words = heap.words
        self._index = heap.index
        self._flash = flash
        self._storage = storage
        self._blocks = blocks
        self._may_write = may_write
        self._number = 0
        self._used = 0
        self._content = None
        self._differs = False
        self._functions = id(type(_generator)), id(type(lambda: None))
        self._texts = id(str), id(bytes)
        self._list = [None] * _KEPT_MAX
        self._kept = self._index(heap.words[self._index(id(self._list)) + _ITEMS])
        self._kept_end = self._kept + _KEPT_MAX

    def move(self, module, names, constants):
        """Move what `module` holds. names, constants: how many it has, by its file."""
        address = id(module)
        at = self._index(address)
        self._move_constants(at, names, constants)
        words = self._words
        entries = self._index(words[at + _GLOBALS])
        table = self._index(words[entries + _TABLE])
        end = table + 2 * words[entries + _SIZE]
        for entry in range(table + 1, end, 2):
            found = self._index(words[entry])
            if found >= 0 and words[found] == id(type):
                self._move_class(found, address)
        self._move_functions(table + 1, end, 2, address)
        self._move_table(entries)

    def close(self):
        """Write what is not in flash yet; return what must be kept."""
        self._write()
        return self._list[: _KEPT_MAX - (self._kept_end - self._kept)]

    def _write(self):
        if self._differs:
            self._differs = False
            self._flash.writeblocks(self._blocks[self._number], self._content)

    def _move_class(self, at, module):
        words = self._words
        number = bytearray_at(self._heap.base + at * WORD_BYTES + _DICT_SLOT, 1)[0]  # counted from 1; 0 for none
        slot = at + _SLOTS + number - 1
        entries = self._index(words[slot]) if number else -1
        if entries < 0 or words[entries] != id(dict) or words[entries + _FLAGS] & _FIXED:
            return
        size = words[entries + _SIZE]
        table = self._index(words[entries + _TABLE])
        if size == 0 or table < 0:
            return
        self._move_functions(table + 1, table + 2 * size, 2, module)
        if self._move_table(entries):
            self._replace(slot, self._keep(self._bytes(entries, 4)))

    def _move_table(self, entries):
        """Move the table of a dict, which becomes fixed, and return whether that was done."""
        words = self._words
        size = words[entries + _SIZE]
        table = self._index(words[entries + _TABLE])
        if not self._replace(entries + _TABLE, self._keep_entries(table, 2 * size)):
            return False
        words[entries + _FLAGS] |= _FIXED
        return True

    def _moved(self, at, module):
        """Return the address in flash of a function or of what wraps functions, or 0 if it stays."""
        words = self._words
        kind = words[at]
        if kind in self._functions:
            code = words[at + _CODE]
            if words[at + _MODULE] != module or self._index(code) >= 0:
                return 0
            size = _DEFAULTS + _defaults(code)
            if not self._keep_alive(at + _INNER, at + _CODE) or not self._keep_alive(at + _DEFAULTS, at + size):
                return 0
            return self._keep(self._bytes(at, size))
        if kind == id(property):
            size = 4
        elif kind == id(staticmethod) or kind == id(classmethod):
            size = 2
        else:
            return 0
        self._move_functions(at + 1, at + size, 1, module)
        return self._keep_entries(at, size)

    def _move_functions(self, start, end, step, module):
        """Move the functions that these words point to, and what wraps functions."""
        for entry in range(start, end, step):
            found = self._index(self._words[entry])
            if found >= 0:
                self._replace(entry, self._moved(found, module))

    def _move_constants(self, at, names, count):
        words = self._words
        name_words = (2 * names + WORD_BYTES - 1) // WORD_BYTES  # py/qstr.h, qstr_short_t
        first = self._index(words[at + _NAMES])
        start = first + name_words
        # One piece of memory (py/bc.c, mp_module_context_alloc_tables).
        if first < 0 or (count and self._index(words[at + _CONSTANTS]) != start):
            return
        for entry in range(start, start + count):
            self._move_constant(entry)
        piece = self._bytes(first, name_words + count)
        if self._keep_alive(start, start + count) and self._replace(at + _NAMES, self._keep(piece)):
            words[at + _CONSTANTS] = words[at + _NAMES] + name_words * WORD_BYTES

    def _move_constant(self, entry):
        """Move the text or tuple that a word points to."""
        words = self._words
        at = self._index(words[entry])
        if at < 0:
            return
        if words[at] in self._texts:
            address, length = words[at + _TEXT], words[at + _LENGTH]
            if self._index(address) >= 0:
                address = self._keep(bytes(bytearray_at(address, length)) + bytes(WORD_BYTES - length % WORD_BYTES))
            if address:
                self._replace(entry, self._keep(pack("PPPP", words[at], words[at + _HASH], length, address)))
        elif words[at] == id(tuple):
            size = 2 + words[at + 1]
            for item in range(at + 2, at + size):
                self._move_constant(item)
            self._replace(entry, self._keep_entries(at, size))

    def _keep_entries(self, at, count):
        """Return the address in flash of so many words, 0 if there is no room."""
        return self._keep(self._bytes(at, count)) if self._keep_alive(at, at + count) else 0

    def _keep_alive(self, at, end):
        """Let the collector know what these words point to; return False if there is no room for that."""
        for word in range(at, end):
            if self._index(self._words[word]) >= 0:
                if self._kept == self._kept_end:
                    return False
                self._words[self._kept] = self._words[word]
                self._kept += 1
        return True

    def _bytes(self, at, count):
        return bytearray_at(self._heap.base + at * WORD_BYTES, count * WORD_BYTES)

    def _replace(self, entry, address):
        """Let a word point to `address`, unless that is 0; return whether it does."""
        if address:
            self._words[entry] = address
        return address != 0

    def _keep(self, content):
        """Return the address in flash of `content`, which is there or will be; 0 if it cannot be there."""
        if self._used + len(content) > _BLOCK_BYTES:
            if self._number + 1 >= len(self._blocks) or len(content) > _BLOCK_BYTES:
                return 0
            self._write()
            self._number += 1
            self._used = 0
        start = self._storage + self._blocks[self._number] * _BLOCK_BYTES
        used = self._used
        self._used = used + len(content)
        if not self._differs and bytearray_at(start + used, len(content)) != content:
            if not self._may_write():
                return 0
            self._differs = True
            if self._content is None:
                self._content = bytearray(_BLOCK_BYTES)
            self._content[:used] = bytearray_at(start, used)
        if self._differs:
            self._content[used : self._used] = content
        return start + used


def _defaults(code):
    """Return how many defaults of arguments a function has, by the head of its bytecode (py/bc.h)."""
    head = bytearray_at(code, 8)
    at = flags = defaults = 0
    while head[at] & 0x80:
        at += 1
        flags |= (head[at] >> 6 & 1) << (at - 1)
        defaults |= (head[at] & 1) << (at - 1)
    return defaults + (1 if flags & _DEFAULT_KEYWORDS else 0)
