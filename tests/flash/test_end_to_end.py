"""The whole of `fieldpost flash`: an unpacked board, the makers' own tools, the local hub, and a reading at its end.

Goal: one command brings a board from nothing to a delivered reading, a second one changes nothing that
matters, and every step on the way can be cut and repeated. Everything runs as a user runs it: the command in a
process of its own, the board and the hub on real ports.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from host_tools.emulator.bare import BareBoard, BarePico, stand_in_firmware
from host_tools.hub import Hub, read_messages
from host_tools.hub.service.admin import AdminApi
from tests.flash.bare_bench import on_the_table, run_fieldpost

SSID = "shed"
PASSWORD = "pass word 7"


class Bench:
    """A user's folder with fieldpost.toml, and a hub that runs."""

    def __init__(self, folder: Path, hub: Hub) -> None:
        self.folder = folder
        self.hub = hub

    @property
    def upstream(self) -> tuple[str, int]:
        return ("127.0.0.1", self.hub.port)

    def firmware(self, kind: str, version: int = 1) -> Path:
        path = self.folder / f"{kind}-{version}.firmware"
        path.write_bytes(stand_in_firmware(kind, version))
        return path

    async def fieldpost(self, *words: object) -> tuple[int, str, str]:
        """Return exit code, stdout and stderr."""
        code, out, err = await run_fieldpost(self.folder, *words)
        assert PASSWORD not in out + err
        return code, out, err

    def records(self, device: str) -> list[dict[str, Any]]:
        return [
            record
            for message in read_messages(self.hub.directory, device)
            for record in json.loads(message.body)["records"]
        ]

    def readings(self, device: str) -> list[int]:
        return [record["n"] for record in self.records(device) if "temperature" in record]


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    folder = tmp_path / "user"
    folder.mkdir()
    (folder / "fieldpost.toml").write_text(
        f'[hub]\nkind = "local"\ndata = "../hub"\n[wifi]\nnetworks = ["{SSID}"]\n[readings]\ninterval_ms = 200\n'
    )
    secrets = folder / "fieldpost.secrets.toml"
    secrets.touch(mode=0o600)
    secrets.write_text(f'[wifi]\n{SSID} = "{PASSWORD}"\n')
    hub = Hub(tmp_path / "hub")
    await hub.start()
    api = AdminApi(hub)
    await api.start()
    yield Bench(folder, hub)
    assert list((tmp_path / "temporary").iterdir()) == [], "it leaves nothing behind"
    await api.stop()
    await hub.stop()


def _where(board: BareBoard) -> list[object]:
    if isinstance(board, BarePico):
        return ["--drive", board.drive.path]
    return ["--port", board.serial_port]


@pytest.mark.parametrize("kind", ["esp32", "pico_w"])
async def test_from_nothing_to_a_reading_and_again(bench: Bench, tmp_path: Path, micropython: Path, kind: str) -> None:
    # Where `fieldpost emulate` keeps its boards: that is how the tool finds a drive that appears.
    place = tmp_path / "state" / "fieldpost" / "boards" / kind
    async with on_the_table(kind, place, micropython, bench.upstream) as board:
        assert board.state == ("loader" if kind == "pico_w" else "dead")
        words = ["flash", kind, *_where(board), "--firmware", bench.firmware(kind), "--device", "shed-1"]

        code, out, err = await bench.fieldpost(*words, "--dry-run", "--json")
        assert code == 0, err
        assert any("install the agent" in line for line in json.loads(out)["plan"])
        assert board.board is None

        code, out, err = await bench.fieldpost(*words, "--json")
        assert code == 0, err
        outcome = json.loads(out)["outcome"]
        assert outcome.startswith("shed-1: reading "), out
        code, out, err = await bench.fieldpost("provision", "--list", "--json")
        assert [(row["device"], row["outcome"]) for row in json.loads(out)] == [("shed-1", outcome)], err
        assert board.board is not None
        assert board.board.status["boot"] >= 1
        before = bench.readings("shed-1")
        assert before

        # The link is cut, readings wait in the ring, and MicroPython itself is flashed anew: nothing is missing.
        board.board.link.down()
        await board.board.wait_state(lambda status: status["pending"] >= 5)
        code, out, err = await bench.fieldpost(
            "flash", kind, "--port", board.serial_port, "--firmware", bench.firmware(kind, version=2)
        )
        assert code == 0, err
        assert out.startswith("shed-1: reading "), out
        assert "keep identity, record numbers and unsent readings" in err
        numbers = {record["n"] for record in bench.records("shed-1")}
        assert numbers == set(range(min(numbers), max(numbers) + 1)), "a number is missing"
        assert max(bench.readings("shed-1")) > max(before) + 5

        # Another name would leave readings under the wrong one.
        code, out, err = await bench.fieldpost("flash", kind, "--port", board.serial_port, "--device", "shed-2")
        assert code == 2 and "this board is shed-1" in err and "--wipe makes it shed-2" in err
        assert board.board is not None
        await board.board.wait_line("status: ")  # it was looked at, refused, and runs again
        code, out, err = await bench.fieldpost(
            "flash", kind, "--port", board.serial_port, "--device", "shed-2", "--wipe"
        )
        assert code == 0, err
        assert out.startswith("shed-2: reading "), out
        assert min(record["n"] for record in bench.records("shed-2")) <= min(numbers)

        # Without settings, it keeps its hub and its networks too.
        (bench.folder / "fieldpost.toml").unlink()
        code, out, err = await bench.fieldpost("flash", kind, "--port", board.serial_port)
        assert code == 0, err
        assert out.startswith("shed-2: the hub has acknowledged "), out


async def test_a_fleet_delivers_but_for_the_board_that_is_broken(
    bench: Bench, tmp_path: Path, micropython: Path
) -> None:
    async with (
        on_the_table("esp32", tmp_path / "a", micropython, bench.upstream, "a") as one,
        on_the_table("pico_w", tmp_path / "b", micropython, bench.upstream, "b") as other,
    ):
        assert isinstance(other, BarePico)
        rows = [
            f"fleet-1,esp32,{one.serial_port},,{bench.firmware('esp32')}",
            f"fleet-2,pico_w,,{other.drive.path},{bench.firmware('pico_w')}",
            f"fleet-3,esp32,/dev/none,,{bench.firmware('esp32')}",
        ]
        (bench.folder / "fleet.csv").write_text("device,board,port,drive,firmware\n" + "\n".join(rows) + "\n")
        code, out, err = await bench.fieldpost("provision", "--csv", "fleet.csv", "--certificates")
        assert code == 0, err
        code, out, err = await bench.fieldpost("flash", "--fleet", "fleet.csv", "--json")
        report = json.loads(out)
        assert (code, report["flashed"], report["failed"]) == (1, 2, 1), out + err
        outcomes = {row["device"]: row["outcome"] for row in report["devices"]}
        assert outcomes["fleet-1"].startswith("fleet-1: reading ")
        assert outcomes["fleet-2"].startswith("fleet-2: reading ")
        assert "/dev/none does not exist" in outcomes["fleet-3"]
        assert "fieldpost: fleet-3: failed: " in err
        code, out, err = await bench.fieldpost("provision", "--list", "--json")
        flashed = {row["device"]: row["outcome"] for row in json.loads(out)}
        assert flashed == {**{name: outcomes[name] for name in ("fleet-1", "fleet-2")}, "fleet-3": None}
