"""The pinned MicroPython release: fetched once, checked always, and never used when it is not what was pinned."""

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from host_tools.errors import UserError
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


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that has the release."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "fw.bin").write_bytes(CONTENT)
    handler = functools.partial(_Quiet, directory=str(tmp_path / "site"))
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
