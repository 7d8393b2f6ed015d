"""The chip's storage, kept in a file as it changes: a process that is killed is a board whose plug is pulled.

The chip's flash model completes each operation at once, and its ROM asks for the flash's status after each. So what
differs whenever the flash is selected or let go, goes into the file, before anything can be told to the world.
"""

import mmap
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from host_tools.emulator.shape import Partition
from host_tools.errors import UserError

_SELECT_PIN = 1  # of the QSPI bank: QSPI_SS
_ERASED = 0xFF


class FlashMirror:
    """The file of one board, through all its power cycles.

    storage: the part that belongs to the file system; the rest is the firmware's file, again at each start.
    memory, sector_bytes, page_bytes: as FlashView wants them. UserError if `path` is another board's.
    """

    sector_bytes = 4096
    page_bytes = 256

    def __init__(self, path: Path, flash_bytes: int, storage: Partition, seed: int = 0) -> None:
        self.path = path
        self.bytes_programmed = 0
        self.erases = 0
        self._storage = slice(storage.offset, storage.offset + storage.size)
        self._chip: Any = None
        self._cut_in: int | None = None
        self._on_cut: Callable[[], object] = lambda: None
        self._chance = random.Random(seed)
        if not path.exists():
            path.write_bytes(bytes([_ERASED]) * flash_bytes)
        if path.stat().st_size != flash_bytes:
            raise UserError(f"{path} is no flash of {flash_bytes} bytes: give the board another --name")
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), flash_bytes)
        self._known = bytes(self.memory[self._storage])

    def close(self) -> None:
        """Give the file back."""
        self._chip = None
        self.memory.close()

    def put(self, image: bytes) -> None:
        """Solder in another flash; the board has no power. UserError if it has another size."""
        if len(image) != len(self.memory):
            raise UserError(f"a flash of {len(image)} bytes does not fit a board with {len(self.memory)}")
        self.memory[:] = image
        self._known = bytes(self.memory[self._storage])

    def attach(self, chip: Any) -> None:
        """Give a chip that was just powered what was stored; its firmware is in its flash already."""
        self._chip = chip
        chip.flash[self._storage] = self._known
        start = self._storage.start
        self.memory[:start] = bytes(chip.flash[:start])
        chip.qspi[_SELECT_PIN].add_listener(lambda new, old: self.follow())

    def detach(self) -> None:
        """Take what the chip did last; the power is gone."""
        self.follow()
        self._chip = None

    def cut_at(self, operation: int, on_cut: Callable[[], object]) -> None:
        """Leave the n-th operation that changes anything (0 is the next) half done and call `on_cut()`."""
        self._cut_in, self._on_cut = operation, on_cut

    def follow(self) -> None:
        """Take over what has changed."""
        if self._chip is None:
            return
        now = bytes(self._chip.flash[self._storage])
        if now == self._known:
            return
        if self._cut_in == 0:
            now = self._half_done(now)
            self._take(now)
            self._cut_in, self._chip = None, None
            self._on_cut()
            return
        if self._cut_in is not None:
            self._cut_in -= 1
        self._take(now)

    def _take(self, now: bytes) -> None:
        for at in range(0, len(now), self.sector_bytes):
            fresh, old = now[at : at + self.sector_bytes], self._known[at : at + self.sector_bytes]
            if fresh == old:
                continue
            self.memory[self._storage.start + at : self._storage.start + at + self.sector_bytes] = fresh
            if any(one & ~other for one, other in zip(fresh, old, strict=True)):
                self.erases += 1
            else:
                self.bytes_programmed += sum(one != other for one, other in zip(fresh, old, strict=True))
        self._known = now

    def _half_done(self, now: bytes) -> bytes:
        """Return what an interrupted operation may leave: each changed byte done, not done, or something between."""
        torn = bytearray(self._known)
        for at, (fresh, old) in enumerate(zip(now, self._known, strict=True)):
            if fresh != old:
                done = self._chance.choice((0, _ERASED, self._chance.randrange(256)))
                torn[at] = (fresh & done) | (old & ~done & _ERASED)
        return bytes(torn)
