"""A file for SQLite that only this user can read."""

import contextlib
import os
from pathlib import Path


def make_private(path: Path) -> None:
    """Make the file if it is not there: SQLite gives its own files the mode of this one, and keys are in it.

    One that is there is not even opened: with any descriptor of it that closes, all locks of this process go, SQLite's
    too, and the next process that closes the store takes the log away that is being written to (fcntl(2); SQLite
    documentation, "How To Corrupt An SQLite Database File", section 2.2). Raises OSError.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
