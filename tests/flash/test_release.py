"""The pinned MicroPython release: fetched once, checked always, and never used when it is not what was pinned."""

import functools
import hashlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from host_tools.boards.catalog import BOARDS
from host_tools.emulator.bare import stand_in_firmware
from host_tools.errors import UserError
from host_tools.flash.pin import pin
from host_tools.flash.release import Release, firmware_file, release_for

CONTENT = b"a release" * 20_000
PINNED = Release("esp32", "1.25.0", "fw.bin", hashlib.sha256(CONTENT).hexdigest(), "esp32", 0x1000)


class Told:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.shares: list[float] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    def share(self, stage: str, share: float) -> None:
        self.shares.append(share)


class _Site(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, ranges included. breaks_after: bytes of a body, once; the connection closes there."""

    breaks_after: ClassVar[list[int]] = []
    knows_ranges: ClassVar[list[bool]] = [True]
    asked: ClassVar[list[str | None]] = []

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        wanted = self.headers["Range"]
        self.asked.append(wanted)
        if not path.is_file():
            self.send_error(404, "File not found")
            return
        body, start = path.read_bytes(), 0
        if wanted and self.knows_ranges[0]:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = start + self.breaks_after.pop() if self.breaks_after else len(body)
        self.wfile.write(body[start:end])


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that has the release."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "fw.bin").write_bytes(CONTENT)
    for kept in (_Site.breaks_after, _Site.asked):
        kept.clear()
    _Site.knows_ranges[0] = True
    handler = functools.partial(_Site, directory=str(tmp_path / "site"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_release_is_fetched_once_and_told(site: str) -> None:
    told = Told()
    path = firmware_file(PINNED, None, told, site)
    assert path.read_bytes() == CONTENT
    assert told.lines == [f"fetching {site}/fw.bin"] and told.shares[-1] == 1.0
    assert firmware_file(PINNED, None, told, site) == path
    assert len(told.lines) == 1


def test_a_damaged_copy_in_the_cache_is_fetched_anew(site: str) -> None:
    path = firmware_file(PINNED, None, Told(), site)
    path.write_bytes(CONTENT[:-1])
    assert firmware_file(PINNED, None, Told(), site).read_bytes() == CONTENT


def test_what_is_not_what_was_pinned_is_not_used(site: str, tmp_path: Path) -> None:
    (tmp_path / "site" / "fw.bin").write_bytes(CONTENT + b"!")
    with pytest.raises(UserError, match=r"not the pinned .* it was not used"):
        firmware_file(PINNED, None, Told(), site)
    assert list((tmp_path / "cache" / "fieldpost" / "releases").iterdir()) == []


def test_what_cannot_be_fetched_is_told(site: str) -> None:
    with pytest.raises(UserError, match=r"cannot fetch .*/gone.bin \(File not found\): .* --firmware FILE"):
        firmware_file(replace(PINNED, file="gone.bin"), None, Told(), site)


def test_without_a_pinned_sum_nothing_is_fetched(site: str) -> None:
    told = Told()
    with pytest.raises(UserError, match=r"is not pinned, so it is not fetched: .* --firmware FILE"):
        firmware_file(replace(PINNED, sha256=None), None, told, site)
    assert told.lines == []


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_broken_download_goes_on_where_it_stopped(site: str, knows_ranges: bool) -> None:
    _Site.knows_ranges[0] = knows_ranges
    for length in (1, 70_000):
        _Site.breaks_after.append(length)
        with pytest.raises(UserError, match=r"the connection broke after \d+ of 180000 bytes .* goes on from there"):
            firmware_file(PINNED, None, Told(), site)
    told = Told()
    assert firmware_file(PINNED, None, told, site).read_bytes() == CONTENT
    assert _Site.asked[0] is None and _Site.asked[1] == "bytes=1-"
    assert told.shares == sorted(told.shares) and (told.shares[0] > 0.5) == knows_ranges


def test_a_part_of_something_else_is_dropped(site: str, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "fieldpost" / "releases"
    folder.mkdir(parents=True)
    (folder / "fw.bin.partial").write_bytes(CONTENT + b"more than there is")
    with pytest.raises(UserError, match="cannot fetch"):
        firmware_file(PINNED, None, Told(), site)
    assert firmware_file(PINNED, None, Told(), site).read_bytes() == CONTENT
    (folder / "fw.bin").unlink()
    (folder / "fw.bin.partial").write_bytes(b"other" * 100)
    with pytest.raises(UserError, match=r"not the pinned .* it was not used"):
        firmware_file(PINNED, None, Told(), site)
    assert firmware_file(PINNED, None, Told(), site).read_bytes() == CONTENT


def test_nobody_there_is_told(site: str) -> None:
    with pytest.raises(UserError, match=r"cannot fetch .*refused.*: check the network, or give the file with --firm"):
        firmware_file(PINNED, None, Told(), "http://127.0.0.1:9")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A copy of boards/, whose tables may be written."""
    shutil.copytree(BOARDS, tmp_path / "boards")
    return tmp_path / "boards"


def test_a_release_is_pinned_and_then_taken_from_the_cache(site: str, tmp_path: Path, table: Path) -> None:
    file = release_for("pico_w", table).file
    assert release_for("pico_w", table).sha256 is None
    (tmp_path / "site" / file).write_bytes(stand_in_firmware("pico_w"))
    written, sha256 = pin("pico_w", None, Told(), table, site)
    assert written == table / "pico_w" / "firmware.toml"
    release = release_for("pico_w", table)
    assert release.sha256 == sha256 and firmware_file(release, None, Told(), "http://127.0.0.1:9").name == file
    own = tmp_path / "own.uf2"
    own.write_bytes(stand_in_firmware("pico_w"))
    assert pin("pico_w", own, Told(), table)[1] == sha256 and own.exists()
    assert written.read_text().count("sha256 = ") == 1
    left = sorted(path.name for path in (tmp_path / "cache" / "fieldpost" / "releases").iterdir())
    assert left == [file]


def test_what_is_not_for_the_board_is_not_pinned(site: str, tmp_path: Path, table: Path) -> None:
    before = (table / "esp32" / "firmware.toml").read_text()
    (tmp_path / "page.html").write_text("<html>not found</html>")
    (tmp_path / "other.bin").write_bytes(stand_in_firmware("esp32c3"))
    for name in ("page.html", "other.bin", "none"):
        with pytest.raises(UserError):
            pin("esp32", tmp_path / name, Told(), table, site)
    assert (table / "esp32" / "firmware.toml").read_text() == before


def test_a_given_file_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "own.bin").touch()
    assert firmware_file(PINNED, tmp_path / "own.bin", Told(), "http://127.0.0.1:9") == tmp_path / "own.bin"
    with pytest.raises(UserError, match="there is no firmware file"):
        firmware_file(PINNED, tmp_path / "none.bin", Told())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('version = "1"', "file is missing"),
        ('version = "1"\nfile = "f"\nchip = "z80"', 'chip is "z80": expected one of esp32'),
        ('version = "1"\nfile = "f"\nchip = "esp32"\nsha256 = "XYZ"', 'sha256 is "XYZ"'),
        ("version", "cannot be read as TOML"),
    ],
)
def test_a_wrong_table_names_the_key(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "firmware.toml").write_text(text)
    with pytest.raises(UserError) as raised:
        release_for("b", tmp_path)
    assert str(raised.value).startswith("boards/b/firmware.toml") and said in str(raised.value)
    with pytest.raises(UserError, match="there is no MicroPython to put on board 'c'"):
        release_for("c", tmp_path)
