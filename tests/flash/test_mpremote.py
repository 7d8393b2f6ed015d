"""What a user is told when mpremote cannot do its work, and what is tried again.

A stand-in for mpremote is put before the real one: it prints what the real one prints and counts its runs.
"""

from pathlib import Path

import pytest

from host_tools.errors import UserError
from host_tools.flash import mpremote

PORT = "id:stand-in"


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose `mpremote` says, in run n, the text in the file n, and fails if there is one."""
    package = tmp_path / "mpremote"
    package.mkdir()
    (package / "__init__.py").touch()  # a package without it would not hide the real one
    (package / "__main__.py").write_text(
        "import pathlib, sys\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "runs = folder / 'runs'\n"
        "number = int(runs.read_text()) + 1 if runs.exists() else 1\n"
        "runs.write_text(str(number))\n"
        "said = folder / str(number)\n"
        "sys.exit(said.read_text()) if said.exists() else print(*sys.argv[1:])\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(mpremote, "_ATTEMPT_PAUSE_S", 0)
    return tmp_path


def _runs(stand_in: Path) -> int:
    return int((stand_in / "runs").read_text())


def test_commands_are_chained_in_one_session(stand_in: Path) -> None:
    assert mpremote.run(PORT, ["exec", "1", "reset"]) == [f"connect {PORT} exec 1 reset"]
    assert _runs(stand_in) == 1


@pytest.mark.parametrize("said", ["mpremote: failed to access p (it may be in use)", "could not enter raw repl"])
def test_a_board_that_is_still_starting_gets_another_chance(stand_in: Path, said: str) -> None:
    (stand_in / "1").write_text(said)
    mpremote.run(PORT, ["reset"])
    assert _runs(stand_in) == 2


@pytest.mark.parametrize(
    ("said", "told", "runs"),
    [
        ("mpremote: failed to access p (it may be in use)", f"port {PORT} is in use or gone", 4),
        ("...TransportError: could not enter raw repl", f"the board on {PORT} does not answer", 4),
        ("OSError: [Errno 28] ENOSPC", f"the board on {PORT} has no room left", 1),
        ("mpremote: cp: strange", f"flashing the board on {PORT} failed: cp: strange. What was", 1),
    ],
)
def test_a_failure_says_what_to_do(stand_in: Path, said: str, told: str, runs: int) -> None:
    for number in range(1, 10):
        (stand_in / str(number)).write_text(said)
    with pytest.raises(UserError) as raised:
        mpremote.run(PORT, ["reset"])
    assert str(raised.value).startswith(told)
    assert _runs(stand_in) == runs


def test_an_absent_port_is_told_before_anything_is_tried() -> None:
    with pytest.raises(UserError, match=r"port /dev/ttyNONE does not exist: plug the board in"):
        mpremote.check_port("/dev/ttyNONE")


def test_names_that_only_mpremote_understands_are_left_to_it() -> None:
    mpremote.check_port("socket://localhost:1234")
