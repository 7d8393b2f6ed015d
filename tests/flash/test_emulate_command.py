"""`fieldpost emulate`: a board in a process of its own, found by the flashing tool, ended by Ctrl-C."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from host_tools.emulator.held import held
from tests.flash.bare_bench import on_the_table, run_fieldpost, run_tool


@pytest.mark.parametrize(("kind", "state"), [("esp32", "nothing to boot yet"), ("pico_w", "waiting for firmware")])
async def test_a_board_is_there_until_ctrl_c(
    tmp_path: Path, micropython: Path, monkeypatch: pytest.MonkeyPatch, kind: str, state: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = tmp_path / "fieldpost" / "boards" / "mine"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from host_tools.cli import main; main()", "emulate", kind, "--name", "mine"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(120):
            ready = await process.stdout.readline()
        told = json.loads((folder / "usb.json").read_text())
        assert ready.decode() == f"ready: {state}, at {told['drive'] or told['port']}; kept in {folder}\n"
        if kind == "pico_w":
            assert (Path(told["drive"]) / "INFO_UF2.TXT").is_file()
        else:
            code, said = await run_tool("esptool", "--port", told["port"], "flash-id")
            assert code == 0, said
    finally:
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    assert not (folder / "serial").exists() and not (folder / "RPI-RP2").exists()


async def test_a_board_is_one_board(tmp_path: Path, micropython: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = tmp_path / "fieldpost" / "boards" / "mine"
    with held(folder):
        code, _, err = await run_fieldpost(tmp_path, "emulate", "esp32", "--name", "mine")
    assert code == 2 and f"an emulated board is at work in {folder}: end it with Ctrl-C" in err
    async with on_the_table("pico_w", folder, micropython):
        pass
    before = sorted(path.name for path in folder.iterdir())
    for kind in ("esp32", "pico2_w"):
        code, _, err = await run_fieldpost(tmp_path, "emulate", kind, "--name", "mine")
        assert code == 2 and f"{folder} holds another kind of board" in err
    assert sorted(path.name for path in folder.iterdir()) == before


async def test_a_stand_in_is_written(tmp_path: Path) -> None:
    code, out, _ = await run_fieldpost(tmp_path, "emulate", "pico_w", "--stand-in", "fw.uf2")
    assert (code, out) == (0, "fw.uf2\n")
    assert (tmp_path / "fw.uf2").read_bytes()[:4] == b"UF2\n"
    code, _, err = await run_fieldpost(tmp_path, "emulate", "pico_w", "--stand-in", "none/fw.uf2")
    assert code == 2 and "cannot write none/fw.uf2" in err
