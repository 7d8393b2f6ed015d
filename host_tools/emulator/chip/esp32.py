# ESP32: flash partitions (MicroPython documentation, "class Partition"; ports/esp32/esp32_partition.c).

import _flash
import _wire
from micropython import const

HEAP_DATA = const(4)
HEAP_EXEC = const(1)

_NATIVE_BLOCK_BYTES = const(4096)
_PAGE_BYTES = const(256)
_ENOENT = const(2)
_EINVAL = const(22)
_ESP_ERR_INVALID_ARG = const(0x102)
_ESP_ERR_INVALID_SIZE = const(0x104)


class Partition:
    BOOT = 0
    RUNNING = 1
    TYPE_APP = 0
    TYPE_DATA = 1

    def __init__(self, id, block_size=4096):
        for row in _wire.config["partitions"]:
            if row[4] == id or (id in (0, 1) and row[0] == 0):
                self._row = row
                self._block_size = block_size
                return
        raise OSError(_ENOENT)

    @staticmethod
    def find(type=0, subtype=0xFF, label=None, block_size=4096):
        return [
            Partition(row[4], block_size)
            for row in _wire.config["partitions"]
            if row[0] == type and subtype in (0xFF, row[1]) and label in (None, row[4])
        ]

    def info(self):
        type, subtype, offset, size, label = self._row
        return (type, subtype, offset, size, label, False)

    def readblocks(self, block, buffer, offset=0):
        start = block * self._block_size + offset
        self._check(start, len(buffer))
        _flash.read(self._row[2] + start, buffer)

    def writeblocks(self, block, buffer, offset=None):
        start = block * self._block_size + (offset or 0)
        if offset is not None:
            self._program(start, buffer)
        elif self._block_size == _NATIVE_BLOCK_BYTES:
            self._erase(start, len(buffer))
            self._program(start, buffer)
        else:
            self._rewrite(start, buffer)

    def ioctl(self, operation, argument):
        if operation in (1, 2, 3):
            return 0
        if operation == 4:
            return self._row[3] // self._block_size
        if operation == 5:
            return self._block_size
        if operation == 6:
            if self._block_size != _NATIVE_BLOCK_BYTES:
                return -_EINVAL
            self._erase(argument * _NATIVE_BLOCK_BYTES, _NATIVE_BLOCK_BYTES)
            return 0

    def _check(self, start, length):
        size = self._row[3]
        if not 0 <= start <= size:
            raise OSError(-_ESP_ERR_INVALID_ARG, "ESP_ERR_INVALID_ARG")
        if start + length > size:
            raise OSError(-_ESP_ERR_INVALID_SIZE, "ESP_ERR_INVALID_SIZE")

    def _erase(self, start, length):
        self._check(start, length)
        if length % _NATIVE_BLOCK_BYTES:
            raise OSError(-_ESP_ERR_INVALID_SIZE, "ESP_ERR_INVALID_SIZE")
        first = (self._row[2] + start) // _NATIVE_BLOCK_BYTES
        for sector in range(first, first + length // _NATIVE_BLOCK_BYTES):
            _flash.erase(sector)

    # The IDF divides at page ends: each part is a program command, and a place for a power cut.
    def _program(self, start, buffer):
        self._check(start, len(buffer))
        view = memoryview(buffer)
        address = self._row[2] + start
        done = 0
        while done < len(view):
            count = min(_PAGE_BYTES - (address + done) % _PAGE_BYTES, len(view) - done)
            _flash.program_page(address + done, view[done : done + count])
            done += count

    # Blocks smaller than a sector: read, change, erase, write, with everything at risk in between.
    def _rewrite(self, start, buffer):
        self._check(start, len(buffer))
        sector = bytearray(_NATIVE_BLOCK_BYTES)
        view = memoryview(buffer)
        done = 0
        while done < len(view):
            inside = (start + done) % _NATIVE_BLOCK_BYTES
            begin = start + done - inside
            count = min(_NATIVE_BLOCK_BYTES - inside, len(view) - done)
            _flash.read(self._row[2] + begin, sector)
            sector[inside : inside + count] = view[done : done + count]
            self._erase(begin, _NATIVE_BLOCK_BYTES)
            self._program(begin, sector)
            done += count


# The IDF's heaps, which the emulator does not have: the figures of an idle board with Wi-Fi up.
def idf_heap_info(capabilities):
    return [(7288, 0, 0, 0), (16648, 4, 0, 4), (80144, 53460, 47104, 49984), (15072, 13932, 13824, 13932)]
