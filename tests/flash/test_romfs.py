"""ROMFS: an ESP32 whose firmware has it built in runs the agent's modules where they lie in flash.

Goal: the same command finds out by itself, brings the modules there and takes copies of them off the file system;
what is cut short is mended by doing it again; and what is not whole is not run. Method: boards whose chip mounts
partition `romfs` as MicroPython's esp32 port does, and the makers' own tools.
"""

import asyncio
import hashlib
import subprocess
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from host_tools import boards
from host_tools.doctor import board as doctor
from host_tools.emulator import EmulatedBoard
from host_tools.emulator.bare import BareEsp32, stand_in_firmware
from host_tools.emulator.bare.stand_in import esp32_firmware
from host_tools.emulator.rom_loader import CHIPS
from host_tools.errors import UserError
from host_tools.flash import board_scripts, esp32, esp_firmware, install, mpremote, prompt
from host_tools.flash.esptool import Esptool
from host_tools.flash.release import release_for
from host_tools.lab.hardware import board_shape
from host_tools.toolchain import firmware, romfs
from tests.flash.bare_bench import NOWHERE, on_the_table
from tests.flash.test_faults import Quiet

ESP32 = boards.load("esp32")
CONFIG = ESP32.device_config("shed-1", "hub.example", wifi=[{"ssid": "shed"}])
IDENTITY = {"device_id": "shed-1", "key": "MDEyMzQ1Njc4OWFiY2RlZg==", "ca_der": "", "wifi_passwords": {}}
WHERE = "import os, sys, fieldpost.config; print(fieldpost.config.__file__, sorted(os.listdir('/')))"
IN_FILES = "fieldpost/config.mpy ['boot.py', 'config.json', 'fieldpost', 'identity.json', 'lib', 'main.py'"
IN_ROMFS = "/rom/fieldpost/config.mpy ['boot.py', 'config.json', 'identity.json', 'main.py', 'rom']"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return firmware.build(tmp_path_factory.mktemp("agent") / "tree", lambda line: None)


class Said(Quiet):
    """Keeps what was told."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)


async def _flash(port: Path, file: Path) -> esp32.Work:
    def both() -> esp32.Work:
        tool = Esptool(str(port))
        work = esp32.look(tool, ESP32, release_for("esp32"), file, False)
        esp32.do(tool, work, Quiet())
        return work

    return await asyncio.to_thread(both)


async def _install(port: Path, tree: Path, keeps: bool = True) -> list[str]:
    said = Said()
    await asyncio.to_thread(install, str(port), tree, CONFIG, None if keeps else IDENTITY, said)
    return said.lines


async def _runs_after(board: EmulatedBoard, install_it: Coroutine[Any, Any, list[str]]) -> list[str]:
    """Install, and return what was told once the agent has run: it does not like the identity, which is made up."""
    started = asyncio.create_task(board.wait_line("not started: identity.json", 120))
    said = await install_it
    await started
    return said


async def _ask(port: Path, program: str) -> str:
    return "\n".join(await asyncio.to_thread(mpremote.run, str(port), ["exec", program])).strip()


async def test_a_firmware_with_romfs_gets_its_partition_and_the_modules_in_it(
    tmp_path: Path, micropython: Path, tree: Path
) -> None:
    rom = tmp_path / "rom.bin"
    rom.write_bytes(stand_in_firmware("esp32", has_romfs=True))
    async with on_the_table("esp32", tmp_path / "board", micropython) as board:
        assert isinstance(board, BareEsp32)
        work = await _flash(board.serial_port, rom)
        assert work.romfs_bytes == ESP32.romfs_bytes
        assert any("give ROMFS a partition of 192 KiB" in line for line in work.lines(rom))
        about = await asyncio.to_thread(prompt.ask, str(board.serial_port), 4)
        assert about is not None and about.has_romfs
        assert any("writing the modules to ROMFS" in line for line in await _install(board.serial_port, tree, False))
        assert await _ask(board.serial_port, WHERE) == IN_ROMFS


async def _board(folder: Path, micropython: Path, has_romfs: bool = True) -> EmulatedBoard:
    shape = replace(board_shape(ESP32.with_romfs()), has_romfs=has_romfs)
    board = EmulatedBoard(folder, "shed-1", shape, micropython, NOWHERE)
    await board.power_on()
    return board


# 36 sectors are erased, then some 570 pages programmed.
@pytest.mark.parametrize("operation", [20, 300])
async def test_power_that_fails_while_it_is_written_leaves_an_idle_board_that_the_same_command_mends(
    tmp_path: Path, micropython: Path, tree: Path, operation: int
) -> None:
    board = await _board(tmp_path / "board", micropython)
    try:
        other = tmp_path / "other"
        (other / "lib").mkdir(parents=True)
        (other / "lib" / "older.mpy").write_bytes(bytes(100_000))
        (tmp_path / "older.romfs").write_bytes(romfs.image(other))
        words = ["romfs", "deploy", str(tmp_path / "older.romfs"), "reset"]
        await asyncio.to_thread(mpremote.run, str(board.serial_port), words)
        board.cut_power_at(operation)
        first = asyncio.create_task(_install(board.serial_port, tree, keeps=False))
        await board.wait_off(120)
    finally:
        await board.close()  # its port goes as well
    with pytest.raises(UserError):
        await first
    board = await _board(tmp_path / "board", micropython)
    try:
        assert "main.py" not in await _ask(board.serial_port, "import os; print(os.listdir('/'))")
        await _install(board.serial_port, tree, keeps=False)
        assert await _ask(board.serial_port, WHERE) == IN_ROMFS
    finally:
        await board.close()


async def test_what_is_not_whole_is_not_run_and_says_so(tmp_path: Path, micropython: Path, tree: Path) -> None:
    board = await _board(tmp_path / "board", micropython)
    try:
        await _runs_after(board, _install(board.serial_port, tree, keeps=False))
        await board.power_off()
        image = tmp_path / "board" / "flash.bin"
        place = ESP32.with_romfs().partition("romfs").offset + 70_000
        with image.open("r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 1]))
        await board.power_on()
        await board.wait_line("ImportError: the agent is not whole in ROMFS: put it on this board again")
        found = {one.about: one for one in await asyncio.to_thread(doctor.look, str(board.serial_port))}
        assert found["agent"].is_good is False and "not whole in ROMFS" in found["agent"].says
        said = await _runs_after(board, _install(board.serial_port, tree))
        assert any("writing the modules to ROMFS" in line for line in said)
    finally:
        await board.close()

    # Another firmware came onto it, without ROMFS.
    board = await _board(tmp_path / "board", micropython, has_romfs=False)
    try:
        await board.wait_line("ImportError: the agent is not whole in ROMFS: put it on this board again")
        about = await asyncio.to_thread(prompt.ask, str(board.serial_port), 4)
        assert about is not None and not about.has_romfs and about.code is None and about.has_identity
        found = {one.about: one for one in await asyncio.to_thread(doctor.look, str(board.serial_port))}
        assert found["agent"].is_good is False and "run `fieldpost flash` again" in found["agent"].says
        await _runs_after(board, _install(board.serial_port, tree))
        assert (await _ask(board.serial_port, WHERE)).startswith(IN_FILES)
    finally:
        await board.close()

    # And the one with ROMFS again: nothing is written twice, and no copy is left to be imported instead.
    board = await _board(tmp_path / "board", micropython)
    try:
        assert any("there already" in line for line in await _install(board.serial_port, tree))
        assert await _ask(board.serial_port, WHERE) == IN_ROMFS
    finally:
        await board.close()


async def test_an_agent_that_does_not_fit_is_told(tmp_path: Path, micropython: Path, tree: Path) -> None:
    small = replace(ESP32, romfs_bytes=64 * 1024).with_romfs()
    board = EmulatedBoard(tmp_path / "board", "shed-1", board_shape(small), micropython, NOWHERE)
    await board.power_on()
    try:
        with pytest.raises(UserError, match="the board's partition romfs 65536: put MicroPython on it again"):
            await _install(board.serial_port, tree, keeps=False)
    finally:
        await board.close()


def test_only_a_program_that_leaves_room_for_it_gets_the_partition(tmp_path: Path) -> None:
    file = tmp_path / "fw.bin"
    for has_romfs, app_bytes, expected in (
        (False, 90_000, (0, False)),
        (True, 90_000, (0x30000, False)),
        (
            True,
            0x1C0000,
            (0, True),
        ),
    ):
        file.write_bytes(esp32_firmware(CHIPS["esp32"], app_bytes=app_bytes, has_romfs=has_romfs))
        assert esp_firmware.has_romfs(file) is has_romfs
        divided, lacks_room = esp32._with_romfs(ESP32, file, release_for("esp32"))
        size = sum(row.size for row in divided.partitions if row.label == "romfs")
        assert (size, lacks_room) == expected
        # So a board keeps what it has stored, whichever firmware comes.
        assert all(divided.partition(label) == ESP32.partition(label) for label in ("queue", "vfs"))


@pytest.mark.parametrize("kind", ["emulator", "esp32", "esp32c3", "esp32s3"])
def test_the_modules_fit_with_a_fifth_to_grow(kind: str, tree: Path) -> None:
    room = boards.load(kind).romfs_bytes
    assert room is not None and len(romfs.image_of_agent(tree)) * 6 // 5 <= room


def test_a_board_whose_firmware_has_lost_romfs_says_what_to_do(micropython: Path) -> None:
    said = subprocess.run([micropython, "-c", board_scripts.check_romfs(b"abcd")], capture_output=True, text=True)
    assert said.returncode == 1 and "put it on this board again with `fieldpost flash`" in said.stderr
    assert repr(hashlib.sha256(b"abcd").digest()) in board_scripts.check_romfs(b"abcd")
