"""The whole way onto a board: built tree, unmodified mpremote, a serial port, MicroPython, flash."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from host_tools import boards
from host_tools.emulator import BoardShape, EmulatedBoard
from host_tools.flash import install, mpremote
from host_tools.toolchain import firmware

KEY = "MDEyMzQ1Njc4OWFiY2RlZg=="
NOWHERE = ("127.0.0.1", 9)
MAKE_STALE = """\
("fieldpost" in os.listdir("/") or os.mkdir("/fieldpost"), open("/fieldpost/left_over.mpy", "w").close())"""
SHAPES = {"esp32": BoardShape.esp32, "pico_w": BoardShape.pico_w}


@pytest.fixture(params=sorted(SHAPES))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def board(kind: str, tmp_path: Path, micropython: Path) -> AsyncIterator[EmulatedBoard]:
    board = EmulatedBoard(tmp_path, "flashed", SHAPES[kind](), micropython, NOWHERE)
    await board.power_on()
    yield board
    await board.close()


def _on_board(port: str, expression: str) -> object:
    """Return what an expression is on the board, by way of JSON."""
    command = ["connect", port, "exec", f"import json, os; print(json.dumps({expression}))"]
    done = subprocess.run(
        [sys.executable, "-m", "mpremote", *command], capture_output=True, text=True, check=True, timeout=300
    )
    return json.loads(done.stdout)


async def test_what_is_installed_is_there_and_nothing_stale_is(
    board: EmulatedBoard, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = str(board.serial_port)
    sent: list[str] = []
    real_run = mpremote.run

    def watched_run(port: str, commands: Sequence[str], patience: float = 1.0) -> list[str]:
        sent.extend(commands)
        said = real_run(port, commands, patience=patience)
        sent.extend(said)
        return said

    monkeypatch.setattr(mpremote, "run", watched_run)
    tree = firmware.build(tmp_path / "tree", lambda line: None)
    config = boards.load(kind).device_config("flashed", "hub.example", wifi=[{"ssid": "shed"}])
    identity = {"device_id": "flashed", "key": KEY, "ca_der": "", "wifi_passwords": {"shed": "pass word"}}

    for _ in range(2):
        await asyncio.to_thread(_on_board, port, MAKE_STALE)
        sent.clear()
        await asyncio.to_thread(install, port, tree, config, identity, lambda line: None)

    assert await asyncio.to_thread(_on_board, port, "json.load(open('/config.json'))") == config
    assert await asyncio.to_thread(_on_board, port, "json.load(open('/identity.json'))") == identity
    names = await asyncio.to_thread(_on_board, port, "[entry[0] for entry in os.ilistdir('/fieldpost')]")
    assert isinstance(names, list)
    assert sorted(names) == sorted(path.name for path in (tree / "fieldpost").iterdir())
    # The second time, only main.py was missing.
    files = [path for path in tree.rglob("*") if path.is_file()]
    assert sum(line.startswith("Up to date:") for line in sent) == len(files) - 1 + 2
    assert not any(KEY in words or "pass word" in words for words in sent)
