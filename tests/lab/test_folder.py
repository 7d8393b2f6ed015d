"""The lab's folder: private, held by one lab at a time, free again after a crash."""

import os

import pytest

from host_tools.errors import UserError
from host_tools.lab.folder import LabFolder, state_folder


def test_a_claimed_folder_is_private(tmp_path):
    folder = LabFolder("kitchen", tmp_path)
    folder.claim()
    assert folder.path.stat().st_mode & 0o777 == 0o700
    folder.release()


def test_a_second_lab_is_refused_and_told_what_to_do(tmp_path):
    first, second = LabFolder("kitchen", tmp_path), LabFolder("kitchen", tmp_path)
    first.claim()
    with pytest.raises(UserError, match=f"already running \\(process {os.getpid()}\\).*--name"):
        second.claim()
    LabFolder("attic", tmp_path).claim()
    first.release()
    second.claim()
    second.release()


def test_a_socket_left_by_a_crash_is_cleared_away(tmp_path):
    folder = LabFolder("kitchen", tmp_path)
    folder.path.mkdir(parents=True)
    folder.socket.touch()
    folder.claim()
    assert not folder.socket.exists()
    folder.release()


@pytest.mark.parametrize("name", ["", "../x", "Kitchen", "a b", "-x", "x" * 33, "a/b", "x\n"])
def test_a_name_that_could_leave_the_folder_is_refused(name, tmp_path):
    with pytest.raises(UserError, match="name of a board"):
        LabFolder(name, tmp_path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "labs").write_text("a file in the way")
    with pytest.raises(UserError, match="cannot use the folder"):
        LabFolder("kitchen", tmp_path).claim()


def test_state_goes_where_xdg_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder() == tmp_path / "fieldpost"
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_folder() == tmp_path / ".local" / "state" / "fieldpost"
