"""Makes a ROM file system of a folder: what lies in one runs where it lies, on a MicroPython that has them built in."""

import contextlib
import io
import shutil
import tempfile
from pathlib import Path

from mpremote.romfs import make_romfs  # type: ignore[import-untyped]

from host_tools.toolchain.firmware import NOT_IN_ROMFS


def image(folder: Path) -> bytes:
    """Return the file system with the files of `folder`, as they are."""
    with contextlib.redirect_stdout(io.StringIO()):
        made: bytes = make_romfs(str(folder), mpy_cross=False)
    return made


def image_of_agent(tree: Path) -> bytes:
    """Return the file system with the modules of `tree`, which toolchain.firmware has built."""
    with tempfile.TemporaryDirectory(prefix="fieldpost-") as work:
        folder = Path(shutil.copytree(tree, Path(work) / "rom"))
        for name in NOT_IN_ROMFS:
            (folder / name).unlink(missing_ok=True)
        return image(folder)
