"""The cache holds a whole entry or none."""

from pathlib import Path

import pytest

from host_tools.errors import UserError
from host_tools.toolchain import cache


def test_an_entry_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    entry = tmp_path / "entry"
    for text in ("old", "new"):
        with cache.replaced(entry) as work:
            (work / text).touch()
    assert [path.name for path in entry.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["entry"]


def test_a_failure_leaves_the_old_entry_and_nothing_else(tmp_path: Path) -> None:
    entry = tmp_path / "entry"
    with cache.replaced(entry) as work:
        (work / "old").touch()
    with pytest.raises(KeyboardInterrupt), cache.replaced(entry) as work:
        (work / "new").touch()
        raise KeyboardInterrupt
    assert [path.name for path in entry.iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["entry"]


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert cache.folder() == tmp_path / "elsewhere" / "fieldpost"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.folder() == tmp_path / "home" / ".cache" / "fieldpost"


def test_a_cache_that_cannot_be_made_is_the_users_to_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set XDG_CACHE_HOME to a folder you can write"):
        cache.folder()
