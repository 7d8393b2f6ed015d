"""The heap of the running interpreter as words of memory. Needed while a board starts, and unloaded after it."""

from struct import calcsize

from micropython import const
from uctypes import ARRAY, UINT32, UINT64
from uctypes import struct as struct_at

WORD_BYTES = calcsize("P")
_HEAP_BYTES = const(0x80_0000)  # more than any; what lies outside is not on the heap


class Heap:
    """base, end: addresses of a window that holds the whole heap. words: its words, the first being that at base."""

    def __init__(self):
        self.base = id(self) // WORD_BYTES * WORD_BYTES - _HEAP_BYTES // 2
        self.end = self.base + _HEAP_BYTES
        word = UINT32 if WORD_BYTES == 4 else UINT64
        self.words = struct_at(self.base, {"words": (ARRAY | 0, word | _HEAP_BYTES // WORD_BYTES)}).words

    def index(self, address):
        """Return the index in `words` of the word at `address`, or -1 if that is not on the heap."""
        if self.base <= address < self.end and address % WORD_BYTES == 0:
            return (address - self.base) // WORD_BYTES
        return -1
