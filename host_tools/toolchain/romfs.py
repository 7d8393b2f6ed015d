"""Makes a ROM file system of a folder: what lies in one runs where it lies, on a MicroPython that has them built in."""

import contextlib
import io
from pathlib import Path

from mpremote.romfs import make_romfs  # type: ignore[import-untyped]


def image(folder: Path) -> bytes:
    """Return the file system with the files of `folder`, as they are."""
    with contextlib.redirect_stdout(io.StringIO()):
        made: bytes = make_romfs(str(folder), mpy_cross=False)
    return made
