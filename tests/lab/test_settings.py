"""What a lab notes about its board, so that its flash is never read as that of another."""

import pytest

from host_tools.errors import UserError
from host_tools.lab.folder import LabFolder
from host_tools.lab.settings import Settings, check_same_hardware, remember, remembered


@pytest.fixture
def folder(tmp_path):
    """A claimed folder."""
    claimed = LabFolder("kitchen", tmp_path)
    claimed.claim()
    yield claimed
    claimed.release()


def test_what_was_noted_is_remembered(folder):
    remember(folder, Settings(shape="pico_w", seed=7))
    assert remembered(folder) == Settings(shape="pico_w")
    remember(folder, Settings(has_romfs=True))
    assert remembered(folder) == Settings(has_romfs=True)


def test_a_board_that_was_never_made_is_unknown(folder):
    with pytest.raises(UserError, match="no board 'kitchen'"):
        remembered(folder)
    check_same_hardware(folder, Settings())


def test_other_hardware_than_before_is_refused_with_what_was_before(folder):
    remember(folder, Settings(shape="pico_w"))
    check_same_hardware(folder, Settings(shape="pico_w", seed=3))
    with pytest.raises(UserError, match="made with --shape pico_w: use that again, or choose another --name"):
        check_same_hardware(folder, Settings())
    with pytest.raises(UserError, match="made with --shape pico_w and no --romfs: use that again"):
        check_same_hardware(folder, Settings(shape="pico_w", has_romfs=True))


def test_a_damaged_note_is_named(folder):
    (folder.path / "lab.json").write_text("{")
    with pytest.raises(UserError, match=r"lab\.json cannot be read"):
        remembered(folder)
