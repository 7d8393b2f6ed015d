"""Which MicroPython belongs on a board, and its file: given, from the cache, or fetched and checked."""

import hashlib
import http
import http.client
import shutil
import tomllib
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from fieldpost.errors import Mismatch
from fieldpost.shapes import Choice, Fields, Integer, Optional, Text

from host_tools.boards.catalog import BOARDS
from host_tools.errors import UserError
from host_tools.flash.progress import Progress
from host_tools.toolchain import cache

_FILE = "firmware.toml"
RELEASES = "https://micropython.org/resources/firmware"
_TIMEOUT_S = 60
_CHUNK_BYTES = 65536
_STAGE = "fetching MicroPython"
_SHAPE = Fields(
    ("version", Text(16, "a version")),
    ("file", Text(128, "the name of a file")),
    ("sha256", Optional(Text(64, "64 hexadecimal digits", b"0123456789abcdef"))),
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


def firmware_file(release: Release, given: Path | None, progress: Progress, releases: str = RELEASES) -> Path:
    """Return the file to flash: `given`, or the pinned one from the cache, fetched if it is not there.

    UserError if it cannot be had, or is not what was pinned.
    """
    if given is not None:
        if not given.is_file():
            raise UserError(f"there is no firmware file {given}")
        return given
    if release.sha256 is None:
        raise UserError(
            f"the SHA-256 of {release.file} is not pinned, so it is not fetched: `fieldpost pin {release.board}` "
            "fetches and pins it once; or download it from micropython.org and give it with --firmware FILE"
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
    download(url, partial, progress)
    found = sha256_of(partial)
    if found != sha256:
        partial.unlink()
        raise UserError(f"{url} has the SHA-256 {found}, not the pinned {sha256}: it was not used")
    shutil.move(partial, path)


def download(url: str, partial: Path, progress: Progress) -> None:
    """Fetch `url` into `partial`, from where an interrupted attempt left off (RFC 9110, section 14).

    UserError if it does not come whole; what came is kept for the next attempt.
    """
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
                have = 0  # the server knows no ranges, or the file has changed its size: all of it again
            length = answer.headers.get("Content-Length")
            whole = have + int(length) if length and length.isdecimal() else None
            with partial.open("r+b" if have else "wb") as file:
                file.seek(have)
                while data := answer.read(_CHUNK_BYTES):
                    file.write(data)
                    if whole:
                        progress.share(_STAGE, file.tell() / whole)
                file.truncate()
                have = file.tell()
    except urllib.error.HTTPError as error:
        partial.unlink(missing_ok=True)  # of another file, perhaps: the server has no such part
        raise UserError(
            f"cannot fetch {url} ({error.reason}): check the network, or give the file with --firmware FILE"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            f"cannot fetch {url} ({getattr(error, 'reason', None) or error}): check the network, or give the file "
            f"with --firmware FILE{_kept(partial)}"
        ) from error
    if whole is not None and have < whole:
        raise UserError(f"the connection broke after {have} of {whole} bytes of {url}{_kept(partial)}")


def _kept(partial: Path) -> str:
    is_kept = partial.exists() and partial.stat().st_size > 0
    return "; run the same command again, it goes on from there" if is_kept else ""
