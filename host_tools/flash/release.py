"""Which MicroPython belongs on a board, and its file: given, from the cache, or fetched and checked."""

import hashlib
import shutil
import tomllib
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from fieldpost.shapes import Choice, Fields, Integer, Mismatch, Optional, Text

from host_tools.boards.catalog import BOARDS
from host_tools.errors import UserError
from host_tools.flash.progress import Progress
from host_tools.toolchain import cache

_FILE = "firmware.toml"
_RELEASES = "https://micropython.org/resources/firmware"
_TIMEOUT_S = 60
_CHUNK_BYTES = 65536
_SHAPE = Fields(
    ("version", Text(16, "a version")),
    ("file", Text(128, "the name of a file")),
    ("sha256", Optional(Text(64, "64 hexadecimal digits", "0123456789abcdef"))),
    ("chip", Choice("esp32", "esp32s3", "esp32c3", "rp2040", "rp2350")),
    ("offset", Optional(Integer(0, 0x10000, "bytes"), 0)),
)


@dataclass(frozen=True)
class Release:
    """A release for one kind of board. offset: where its file belongs in an ESP32's flash, in bytes."""

    board: str
    version: str
    file: str
    sha256: str | None
    chip: str
    offset: int

    @property
    def is_uf2(self) -> bool:
        """Whether it is copied to a drive rather than written by a boot loader."""
        return self.file.endswith(".uf2")


def release_for(board: str, boards: Path = BOARDS) -> Release:
    """Return what boards/BOARD/firmware.toml says. UserError if it is absent or wrong."""
    where = f"boards/{board}/{_FILE}"
    try:
        values = _SHAPE.check(tomllib.loads((boards / board / _FILE).read_text(encoding="utf-8")), "")
    except FileNotFoundError:
        raise UserError(f"there is no MicroPython to put on board '{board}': {where} is missing") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{where} cannot be read as TOML: {error}") from error
    except Mismatch as error:
        raise UserError(f"{where}: {error}") from error
    return Release(board, **values)


def firmware_file(release: Release, given: Path | None, progress: Progress, releases: str = _RELEASES) -> Path:
    """Return the file to flash: `given`, or the pinned one from the cache, fetched if it is not there.

    UserError if it cannot be had, or is not what was pinned.
    """
    if given is not None:
        if not given.is_file():
            raise UserError(f"there is no firmware file {given}")
        return given
    if release.sha256 is None:
        raise UserError(
            f"the SHA-256 of {release.file} is not pinned, so it is not fetched: download it from micropython.org and "
            f"give it with --firmware FILE, or write its sha256 into boards/{release.board}/{_FILE}"
        )
    folder = cache.folder() / "releases"
    folder.mkdir(exist_ok=True)
    path = folder / release.file
    if not path.exists() or sha256_of(path) != release.sha256:
        _fetch(f"{releases}/{release.file}", path, release.sha256, progress)
    return path


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(url: str, path: Path, sha256: str, progress: Progress) -> None:
    progress(f"fetching {url}")
    partial = path.with_name(path.name + ".partial")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer, partial.open("wb") as file:
            expected = int(answer.headers.get("Content-Length") or 0)
            while data := answer.read(_CHUNK_BYTES):
                file.write(data)
                if expected:
                    progress.share("fetching MicroPython", file.tell() / expected)
    except (OSError, urllib.error.URLError) as error:
        partial.unlink(missing_ok=True)
        reason = getattr(error, "reason", None) or error
        raise UserError(
            f"cannot fetch {url} ({reason}): check the network, or give the file with --firmware FILE"
        ) from error
    found = sha256_of(partial)
    if found != sha256:
        partial.unlink()
        raise UserError(f"{url} has the SHA-256 {found}, not the pinned {sha256}: it was not used")
    shutil.move(partial, path)
