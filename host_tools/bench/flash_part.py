"""A flash part that counts what is asked of it, and the time that a typical one would take.

0.7 ms for a page program (tPP) and 45 ms for a sector erase (tSE) are what Winbond gives as typical for the
W25Q128JV, section 9.6 "AC Electrical Characteristics"; the W25Q16JV of a Pico W has 0.4 ms and 45 ms. A command
that programs part of a page takes at least its share of that and at most all of it: both bounds are told, and
the upper one is the figure, for everybody alike.
"""

from dataclasses import dataclass

from host_tools.emulator.nor_flash import NorFlash

SECTOR_BYTES = 4096
PAGE_BYTES = 256
_PAGE_PROGRAM_MS = 0.7
_SECTOR_ERASE_MS = 45.0


class MeteredFlash(NorFlash):
    """A part of `sector_count` sectors. bytes_read: how much was asked for in all reads."""

    # The ring proves each program by reading it back, as it does on boards.
    is_cached = False

    def __init__(self, sector_count: int, unit_bytes: int = 1, write_once: bool = False) -> None:
        super().__init__(sector_count * SECTOR_BYTES, unit_bytes=unit_bytes, strict=False, write_once=write_once)
        self.bytes_read = 0

    def read(self, offset: int, buffer: memoryview | bytearray) -> None:
        """Fill `buffer` from `offset`."""
        super().read(offset, buffer)
        self.bytes_read += len(buffer)

    def program_anywhere(self, offset: int, data: bytes) -> None:
        """Program `data`, one command for each page that it touches."""
        while data:
            room = PAGE_BYTES - offset % PAGE_BYTES
            self.program(offset, data[:room])
            offset += room
            data = data[room:]


@dataclass(frozen=True)
class Tally:
    """What a part has done up to one moment."""

    programs: int
    bytes_programmed: int
    erases: int
    bytes_read: int

    @classmethod
    def of(cls, flash: MeteredFlash) -> "Tally":
        """Return what `flash` has done so far."""
        return cls(flash.programs, flash.bytes_programmed, flash.erases, flash.bytes_read)

    def __sub__(self, earlier: "Tally") -> "Tally":
        return Tally(
            self.programs - earlier.programs,
            self.bytes_programmed - earlier.bytes_programmed,
            self.erases - earlier.erases,
            self.bytes_read - earlier.bytes_read,
        )

    @property
    def modelled_ms(self) -> float:
        """The time that a typical part takes for it; reading is not counted."""
        return self.programs * _PAGE_PROGRAM_MS + self.erases * _SECTOR_ERASE_MS

    @property
    def modelled_by_bytes_ms(self) -> float:
        """The same if a short program takes its share of a page program only: the lower bound."""
        return self.bytes_programmed / PAGE_BYTES * _PAGE_PROGRAM_MS + self.erases * _SECTOR_ERASE_MS


class BlockDevice:
    """The part as MicroPython's boards offer it: the extended calls of `vfs.AbstractBlockDev`."""

    def __init__(self, flash: MeteredFlash) -> None:
        self._flash = flash

    def readblocks(self, block: int, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` from `offset` of `block`."""
        self._flash.read(block * SECTOR_BYTES + offset, buffer)

    def writeblocks(self, block: int, data: memoryview, offset: int) -> None:
        """Program `data` at `offset` of `block`."""
        self._flash.program(block * SECTOR_BYTES + offset, data)

    def ioctl(self, operation: int, block: int) -> int:
        """Erase `block`: the ring asks for nothing else."""
        assert operation == 6, operation
        self._flash.erase(block)
        return 0
