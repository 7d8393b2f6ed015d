"""littlefs on the same flash part, with the parameters that MicroPython gives it.

read_size and prog_size 32 unless said otherwise, lookahead 32, cache 4 times the larger of the two, at most a
block, block_cycles 100: MicroPython, extmod/vfs_lfs.c (lfs_make_allowed_args) and extmod/vfs_lfsx.c (init_config).
The Pico's frozen ports/rp2/modules/_boot.py mounts with progsize=256, the ESP32's inisetup.py with the default.

Left out in littlefs' favour: MicroPython's 8 bytes of modification time at each sync, any frame or checksum
around a record (littlefs checks metadata only), and keeping the place up to which records were taken.
"""

from typing import Any

from littlefs import LittleFS, lfs
from littlefs.context import UserContext
from littlefs.errors import LittleFSError

from host_tools.bench.flash_part import SECTOR_BYTES, MeteredFlash
from host_tools.bench.workload import RECORD_BYTES

READ_SIZE = 32
PROG_SIZES = {"ESP32": 32, "Pico": 256}
LOOKAHEAD_SIZE = 32
BLOCK_CYCLES = 100


class _Context(UserContext):
    """The part, as littlefs asks for it. Nothing of the base is used but its type."""

    def __init__(self, flash: MeteredFlash) -> None:
        super().__init__(buffsize=0)
        self._flash = flash

    def read(self, cfg: Any, block: int, off: int, size: int) -> bytearray:
        buffer = bytearray(size)
        self._flash.read(block * SECTOR_BYTES + off, buffer)
        return buffer

    def prog(self, cfg: Any, block: int, off: int, data: bytes) -> int:
        self._flash.program_anywhere(block * SECTOR_BYTES + off, bytes(data))
        return 0

    def erase(self, cfg: Any, block: int) -> int:
        self._flash.erase(block)
        return 0

    def sync(self, cfg: Any) -> int:
        return 0


class LittlefsOnFlash:
    """Files of `file_bytes` in a littlefs of `sector_count` blocks, synced after each record.

    A file is removed when all of its records were taken: one file of half the region's size is what a program
    would write that knows one file only, small ones are segments. prog_size: see PROG_SIZES.
    """

    def __init__(self, title: str, sector_count: int, prog_size: int, file_bytes: int) -> None:
        self.title = title
        self.flash = MeteredFlash(sector_count)
        self._file_records = file_bytes // RECORD_BYTES
        self._config: dict[str, Any] = {
            "block_size": SECTOR_BYTES,
            "block_count": sector_count,
            "read_size": READ_SIZE,
            "prog_size": prog_size,
            "cache_size": min(SECTOR_BYTES, 4 * max(READ_SIZE, prog_size)),
            "lookahead_size": LOOKAHEAD_SIZE,
            "block_cycles": BLOCK_CYCLES,
        }
        self._written = 0  # records, since the beginning
        self._read = 0
        self._acknowledged = 0
        self._removed = 0  # files
        self._file: Any = None
        self._mount()

    def append(self, payload: bytes) -> None:
        """Write one record and sync the file, which stays open."""
        if self._file is None:
            index, place = divmod(self._written, self._file_records)
            self._file = self._open(index, "a" if place else "w")
        lfs.file_write(self._system.fs, self._file, payload)
        lfs.file_sync(self._system.fs, self._file)
        self._written += 1
        if self._written % self._file_records == 0:
            self._close()

    def read(self, count: int) -> list[bytes]:
        """Return the next `count` records, or as many as there are."""
        found: list[bytes] = []
        while len(found) < count:
            index, place = divmod(self._read, self._file_records)
            wanted = min(count - len(found), self._file_records - place)
            try:
                file = self._open(index, "r")
            except LittleFSError:  # the next file is not begun
                break
            lfs.file_seek(self._system.fs, file, place * RECORD_BYTES, 0)
            data = lfs.file_read(self._system.fs, file, wanted * RECORD_BYTES)
            lfs.file_close(self._system.fs, file)
            if not data:
                break
            found += [bytes(data[at : at + RECORD_BYTES]) for at in range(0, len(data), RECORD_BYTES)]
            self._read += len(data) // RECORD_BYTES
        return found

    def acknowledge(self) -> None:
        """Remove the files of which all records were read."""
        self._acknowledged = self._read
        while (self._removed + 1) * self._file_records <= self._acknowledged:
            self._system.remove(_name(self._removed))
            self._removed += 1

    def idle(self) -> None:
        """littlefs erases when it writes."""

    def reopen(self) -> None:
        """Mount what the flash holds, without closing anything: the power has gone."""
        self._file = None
        self._mount()
        self._read = self._acknowledged

    def _mount(self) -> None:
        self._system = LittleFS(context=_Context(self.flash), **self._config)

    def _open(self, index: int, mode: str) -> Any:
        return lfs.file_open(self._system.fs, _name(index), mode + "b", self._system.filename_encoding)

    def _close(self) -> None:
        lfs.file_close(self._system.fs, self._file)
        self._file = None


def _name(index: int) -> str:
    return f"/{index:08d}"
