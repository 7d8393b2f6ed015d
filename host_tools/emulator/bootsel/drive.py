"""A BOOTSEL drive: a folder that takes a UF2 file block by block, as it grows, and writes it to flash.

As in the ROM, what is no block for this chip is passed over without a word; the drive stays. Once every block
of a file has come, the drive vanishes and the chip starts.
"""

import asyncio
import contextlib
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

from host_tools.emulator.bootsel.chips import FLASH_ADDRESS, RpChip
from host_tools.emulator.nor_flash import NorFlash

_LOOK_S = 0.02
_BLOCK_BYTES = 512
_PAGE_BYTES = 256
_SECTOR_BYTES = 4096
_MAGIC_START = (0x0A32_4655, 0x9E5D_5157)
_MAGIC_END = 0x0AB1_6F30
_FLAG_NOT_MAIN_FLASH = 0x0001
_FLAG_FAMILY = 0x2000
_INFO = "INFO_UF2.TXT"
_INDEX = "INDEX.HTM"
_VERSION = "UF2 Bootloader v3.0"


class BootselDrive:
    """The drive of one chip in `directory`, absent until `show`. on_complete: called when a whole file has come."""

    def __init__(self, directory: Path, chip: RpChip, on_complete: Callable[[], object]) -> None:
        self.path = directory / chip.board_id
        self.passed_over: list[str] = []
        self.bytes_received = 0
        self._chip = chip
        self._on_complete = on_complete
        self._flash: NorFlash | None = None
        self._watching: asyncio.Task[None] | None = None
        self._read_to: dict[Path, int] = {}
        self._awaited = 0
        self._written: set[int] = set()
        self._erased: set[int] = set()
        self._bytes_left: int | None = None
        self._on_cable: Callable[[], object] | None = None

    def show(self, flash: NorFlash) -> None:
        """Appear, with nothing but the files that say what this is."""
        self._flash = flash
        self._read_to.clear()
        self._written.clear()
        self._erased.clear()
        shutil.rmtree(self.path, ignore_errors=True)
        partial = self.path.with_name(f".{self.path.name}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        (partial / _INFO).write_text(f"{_VERSION}\r\nModel: {self._chip.model}\r\nBoard-ID: {self._chip.board_id}\r\n")
        (partial / _INDEX).write_text("<html><body>Raspberry Pi</body></html>\r\n")
        partial.rename(self.path)
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    def vanish(self) -> None:
        """Disappear, whatever is being copied."""
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        self._flash = None
        with contextlib.suppress(FileNotFoundError):
            gone = self.path.with_name(f".{self.path.name}")
            shutil.rmtree(gone, ignore_errors=True)
            self.path.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def pull_cable_after(self, received: int, on_cable: Callable[[], object]) -> None:
        """Call `on_cable` when so many more bytes of a file have come; what lies behind them is not written."""
        self._bytes_left = received
        self._on_cable = on_cable

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            for path in sorted(self.path.iterdir()):
                if path.name not in (_INFO, _INDEX) and path.is_file() and self._take(path):
                    return

    def _take(self, path: Path) -> bool:
        """Read on in a file; return whether that ended the drive."""
        at = self._read_to.get(path, 0)
        with path.open("rb") as file:
            file.seek(at)
            data = file.read()
        allowed = len(data) if self._bytes_left is None else min(len(data), self._bytes_left)
        whole = allowed // _BLOCK_BYTES * _BLOCK_BYTES
        for start in range(0, whole, _BLOCK_BYTES):
            self._take_block(data[start : start + _BLOCK_BYTES])
        self._read_to[path] = at + whole
        self.bytes_received += whole
        if self._bytes_left is not None:
            if len(data) >= self._bytes_left:
                self._bytes_left = None
                assert self._on_cable is not None
                self._on_cable()
                return True
            self._bytes_left -= whole
        if self._awaited and len(self._written) == self._awaited:
            self._on_complete()
            return True
        return False

    def _take_block(self, block: bytes) -> None:
        start0, start1, flags, address, length, number, count, family = struct.unpack("<8I", block[:32])
        problem = None
        if (start0, start1) != _MAGIC_START or struct.unpack("<I", block[-4:])[0] != _MAGIC_END:
            problem = "no UF2 block"
        elif flags & _FLAG_NOT_MAIN_FLASH:
            problem = "not for main flash"
        elif not flags & _FLAG_FAMILY or family != self._chip.family:
            problem = f"family {family:#x}"
        elif length != _PAGE_BYTES or address % _PAGE_BYTES or not self._is_in_flash(address):
            problem = f"address {address:#x}, {length} bytes"
        elif number >= count:
            problem = f"number {number} of {count}"
        if problem is not None:
            self.passed_over.append(problem)
            return
        if count != self._awaited:
            self._awaited = count
            self._written.clear()
            self._erased.clear()
        self._write(address - FLASH_ADDRESS, block[32 : 32 + length])
        self._written.add(number)

    def _is_in_flash(self, address: int) -> bool:
        assert self._flash is not None
        return 0 <= address - FLASH_ADDRESS <= len(self._flash.memory) - _PAGE_BYTES

    def _write(self, offset: int, page: bytes) -> None:
        assert self._flash is not None
        sector = offset // _SECTOR_BYTES
        if sector not in self._erased:
            self._flash.erase(sector)
            self._erased.add(sector)
        self._flash.program(offset, page)
