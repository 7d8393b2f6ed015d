"""Pins a release: its SHA-256 goes into boards/BOARD/firmware.toml, its file into the cache.

Whoever pins decides to trust a file once: what micropython.org shows over HTTPS, or a file that was checked elsewhere.
From then on nothing else is flashed without being given by hand.
"""

import re
import shutil
import tempfile
from pathlib import Path

from host_tools import boards
from host_tools.boards.catalog import BOARDS
from host_tools.errors import UserError
from host_tools.flash import esp_firmware, uf2
from host_tools.flash.progress import Progress
from host_tools.flash.release import RELEASES, Release, download, release_for, sha256_of
from host_tools.toolchain import cache

_FILE = "firmware.toml"
_ROW = re.compile(r'^#? ?sha256 = "[0-9a-f]*"$', re.MULTILINE)


def pin(
    board: str, given: Path | None, progress: Progress, folder: Path = BOARDS, releases: str = RELEASES
) -> tuple[Path, str]:
    """Pin `given`, or the release that is fetched; return the table that was changed, and the SHA-256.

    UserError if it is not for this board, cannot be had, or the table cannot be written; nothing has changed then.
    """
    release = release_for(board, folder)
    kept = cache.folder() / "releases"
    kept.mkdir(exist_ok=True)
    if given is None:
        partial = kept / (release.file + ".partial")
        progress(f"fetching {releases}/{release.file}")
        download(f"{releases}/{release.file}", partial, progress)
        given = partial
    elif not given.is_file():
        raise UserError(f"there is no firmware file {given}")
    _check(board, given, release)
    sha256 = sha256_of(given)
    table = folder / board / _FILE
    try:
        text = table.read_text(encoding="utf-8")
        row = f'sha256 = "{sha256}"'
        changed, count = _ROW.subn(row, text, count=1)
        table.write_text(changed if count else text.rstrip("\n") + f"\n{row}\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {table}: {error.strerror}; the SHA-256 is {sha256}") from error
    with tempfile.NamedTemporaryFile(dir=kept, delete=False) as whole:
        shutil.copyfile(given, whole.name)
    Path(whole.name).replace(kept / release.file)
    if given.parent == kept:
        given.unlink(missing_ok=True)
    return table, sha256


def _check(board: str, file: Path, release: Release) -> None:
    """Refuse what is damaged or for another board."""
    spec = boards.load(board)
    if not release.is_uf2:
        esp_firmware.check_file(file, release)
        return
    assert spec.storage is not None
    uf2.check_file(file, release, spec.storage.offset)
