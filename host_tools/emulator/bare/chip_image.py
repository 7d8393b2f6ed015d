"""The image file of a chip's flash while its boot loader has it; an EmulatedBoard opens it otherwise."""

import mmap
import os
from pathlib import Path

from host_tools.emulator.flash_file import IMAGE
from host_tools.emulator.nor_flash import NorFlash


class ChipImage:
    """The file in `directory`, erased when it is made; bytes that were programmed are there if the host dies."""

    def __init__(self, directory: Path, flash_bytes: int) -> None:
        self.path = directory / IMAGE
        self._flash_bytes = flash_bytes
        self._memory: mmap.mmap | None = None

    def fits(self) -> bool:
        """Whether the file is that of such a chip, or is not there yet."""
        return not self.path.exists() or self.path.stat().st_size == self._flash_bytes

    def read(self) -> bytes:
        """Return a copy of the whole chip."""
        self._make()
        return self.path.read_bytes()

    def open(self, seed: int) -> NorFlash:
        """Return the flash, to be used until `close`."""
        self._make()
        fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._memory = mmap.mmap(fd, self._flash_bytes)
        finally:
            os.close(fd)
        return NorFlash(self._memory, strict=False, seed=seed)

    def close(self) -> None:
        """Let go of the file."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def _make(self) -> None:
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial = self.path.with_suffix(".partial")
            partial.write_bytes(b"\xff" * self._flash_bytes)
            partial.replace(self.path)
