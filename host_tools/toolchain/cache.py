"""The user's cache folder, and how a finished folder gets into it.

<cache>/fieldpost/<name>/        whole, or absent
<cache>/fieldpost/.<name>.lock   held while somebody makes it
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from host_tools.errors import UserError


def folder() -> Path:
    """Return fieldpost's cache folder, made if need be (XDG Base Directory Specification 0.8).

    UserError if it cannot be written.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification says to ignore a relative path.
    path = (Path(base) if base.startswith("/") else Path.home() / ".cache") / "fieldpost"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the cache folder {path} ({error.strerror}): set XDG_CACHE_HOME to a folder you can write"
        ) from error
    return path


@contextmanager
def locked(name: str) -> Iterator[Path]:
    """Hold the only right to make the cache entry `name`; gives the path where it belongs."""
    path = folder() / name
    with open(path.with_name(f".{name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it takes the place of `path` at the end, or vanishes if that fails."""
    work = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        work.chmod(0o755)
        yield work
        # What was there is known to be no good; a reader meanwhile finds nothing rather than a mixture.
        shutil.rmtree(path, ignore_errors=True)
        work.rename(path)
    finally:
        shutil.rmtree(work, ignore_errors=True)
