"""Copies a UF2 file to a BOOTSEL drive, and tells a drive that vanished because all is well from one that did not."""

import contextlib
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

from host_tools.errors import UserError
from host_tools.flash.progress import Progress

_INFO = "INFO_UF2.TXT"
_CHUNK_BYTES = 65536
_VANISH_S = 20.0
_LOOK_S = 0.1
_CHIPS = {"RPI-RP2": "rp2040", "RP2350": "rp2350"}


def chip_of(drive: Path) -> str | None:
    """Return the chip whose boot loader shows `drive`, None if it is no such drive. Its label is not asked."""
    try:
        lines = (drive / _INFO).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("Board-ID:")]
    return _CHIPS.get(found[0]) if found else None


def copy(uf2: Path, drive: Path, progress: Progress, sleep: Callable[[float], None] = time.sleep) -> None:
    """Copy `uf2` and wait until the drive is gone, which is how a Pico says that it starts. UserError if it stays."""
    target = drive / "firmware.uf2"
    size = uf2.stat().st_size
    try:
        with uf2.open("rb") as source, target.open("wb") as file:
            while data := source.read(_CHUNK_BYTES):
                file.write(data)
                file.flush()
                progress.share("copying MicroPython", file.tell() / size)
            # The last block restarts the chip, which may take the drive from under us: that is no failure.
            with contextlib.suppress(OSError):
                os.fsync(file.fileno())
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise UserError(
                f"{drive} is write-protected for you: mount it writable (`mount -o remount,rw {drive}`), or run this "
                "as the user whose desktop mounted it; nothing was written"
            ) from error
        if error.errno == errno.ENOSPC:
            raise UserError(
                f"{drive} is full: hold BOOTSEL, plug the board in again, and run the same command"
            ) from error
        if drive.is_dir():
            raise UserError(f"cannot copy to {drive}: {error.strerror}") from error
        # Else it vanished in the middle, perhaps with the last blocks: the port tells.
    if not _until(lambda: chip_of(drive) is None, _VANISH_S, sleep):
        raise UserError(
            f"{drive} is still there {_VANISH_S:g} s after the copy: the chip did not take the file. "
            "Run the same command again; if that does not help, the file is not for this board"
        )


def _until(condition: Callable[[], bool], timeout_s: float, sleep: Callable[[float], None]) -> bool:
    for _ in range(round(timeout_s / _LOOK_S)):
        if condition():
            return True
        sleep(_LOOK_S)
    return condition()
