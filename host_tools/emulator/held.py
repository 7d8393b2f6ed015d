"""A board's folder belongs to one emulator at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from host_tools.errors import UserError


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Make the folder, and hold it as long as this process has it. UserError if another one does, or it cannot be."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UserError(f"cannot use the folder {directory}: {error.strerror}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(folder)
        raise UserError(
            f"an emulated board is at work in {directory}: end it with Ctrl-C, or choose another --name"
        ) from None
    try:
        yield
    finally:
        os.close(folder)
