"""One download into flash: what a FLASH_BEGIN opens and blocks of data fill."""

import zlib

from host_tools.emulator.nor_flash import NorFlash

SECTOR_BYTES = 4096
_PAGE_BYTES = 256


class FlashWriter:
    """Writes from `offset` on, in order. The ROM erases everything first; the stub each sector as it comes to it."""

    def __init__(self, flash: NorFlash, offset: int, erase_first_bytes: int, is_compressed: bool) -> None:
        self._flash = flash
        self._at = offset
        self._erased_to = offset // SECTOR_BYTES * SECTOR_BYTES
        self._inflate = zlib.decompressobj() if is_compressed else None
        if erase_first_bytes:
            self._erase_to(offset + erase_first_bytes)

    def write(self, data: bytes) -> None:
        """Take one block. zlib.error if it is no deflate stream; ValueError behind the end of the flash."""
        if self._inflate is not None:
            data = self._inflate.decompress(data)
        if self._at + len(data) > len(self._flash.memory):
            raise ValueError(f"flash ends before 0x{self._at + len(data):x}")
        self._erase_to(self._at + len(data))
        while data:
            length = min(len(data), _PAGE_BYTES - self._at % _PAGE_BYTES)
            if data.count(0xFF, 0, length) < length:
                self._flash.program(self._at, data[:length])
            self._at += length
            data = data[length:]

    def _erase_to(self, end: int) -> None:
        while self._erased_to < end:
            self._flash.erase(self._erased_to // SECTOR_BYTES)
            self._erased_to += SECTOR_BYTES
