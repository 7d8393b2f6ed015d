"""Several boards at once: what is wrong with the list is told before any is flashed, and Ctrl-C begins no other."""

import _thread
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from host_tools.cli import fleet, real_board
from host_tools.errors import UserError
from host_tools.provision.names import Row

NOTHING = real_board.What(dry_run=True)


def test_ctrl_c_waits_for_the_board_under_way_and_begins_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun: list[str] = []
    no_other = threading.Event()
    shutdown = ThreadPoolExecutor.shutdown

    def flash_one(row: Row, *_: object) -> fleet.Result:
        begun.append(row.device)
        _thread.interrupt_main()
        assert no_other.wait(60)
        return fleet.Result(row.device, "esp32", True, "flashed", 0.0)

    def told_shutdown(pool: ThreadPoolExecutor, wait: bool = True, *, cancel_futures: bool = False) -> None:
        shutdown(pool, wait=False, cancel_futures=cancel_futures)
        no_other.set()
        shutdown(pool, wait=wait)

    monkeypatch.setattr(fleet, "_flash_one", flash_one)
    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", told_shutdown)
    csv = tmp_path / "fleet.csv"
    csv.write_text("device,board\n" + "".join(f"board-{number},esp32\n" for number in range(50)))
    with pytest.raises(KeyboardInterrupt):
        fleet.flash(csv, None, NOTHING, real_board.Setting(), 1, as_json=True)
    assert begun == ["board-0"]


def test_a_kind_of_board_that_is_none_is_told_before_any_is_flashed(tmp_path: Path) -> None:
    (tmp_path / "fleet.csv").write_text("device,board\na,esp32\nb,toaster\n")
    with pytest.raises(UserError, match=r"fleet\.csv: b: board 'toaster' is not known"):
        fleet.flash(tmp_path / "fleet.csv", None, NOTHING, real_board.Setting(), 1, as_json=True)
