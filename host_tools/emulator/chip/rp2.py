# RP2040: the storage part of the flash (ports/rp2/rp2_flash.c).

import _flash
import _wire
from micropython import const

_BLOCK_BYTES = const(4096)
_PAGE_BYTES = const(256)

_flash.map_into_memory(0x1000_0000, 1 << 24)  # XIP_BASE


class Flash:
    def __init__(self, start=-1, len=-1):
        self._start, self._len = _wire.config["partitions"][0][2:4]
        if start == -1 and len == -1:
            return
        if start % _BLOCK_BYTES or len % _BLOCK_BYTES or start < 0 or len < 0 or start + len > self._len:
            raise ValueError
        self._start += start
        self._len = len

    def readblocks(self, block, buffer, offset=0):
        _flash.read(self._address(block, offset), buffer)

    def writeblocks(self, block, buffer, offset=None):
        if offset is None:
            for index in range(0, len(buffer), _BLOCK_BYTES):
                _flash.erase(self._address(block, index) // _BLOCK_BYTES)
        self._program(self._address(block, offset or 0), buffer)

    def ioctl(self, operation, argument):
        if operation in (1, 2, 3):
            return 0
        if operation == 4:
            return self._len // _BLOCK_BYTES
        if operation == 5:
            return _BLOCK_BYTES
        if operation == 6:
            _flash.erase(self._address(argument, 0) // _BLOCK_BYTES)
            return 0

    # No bounds: a wrong block number reaches the firmware, as on the chip.
    def _address(self, block, offset):
        return (self._start + block * _BLOCK_BYTES + offset) % _wire.config["flash_bytes"]

    # The ROM programs whole pages: it reads on past the end of the buffer, and a start inside a page makes
    # the rest wrap to the head of that page.
    def _program(self, address, buffer):
        view = memoryview(buffer)
        skew = address % _PAGE_BYTES
        for index in range(0, len(view), _PAGE_BYTES):
            page = view[index : index + _PAGE_BYTES]
            if skew or len(page) < _PAGE_BYTES:
                page = bytes(page) + b"\xa5" * (_PAGE_BYTES - len(page))  # whatever lay behind it in RAM
                page = page[_PAGE_BYTES - skew :] + page[: _PAGE_BYTES - skew]
            _flash.program_page(address - skew + index, page)
