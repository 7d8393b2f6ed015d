"""The emulated BOOTSEL drive: takes what an RP2040 takes, block by block, and passes over everything else."""

import asyncio
import contextlib
import random
import shutil
from pathlib import Path

import pytest

from host_tools.emulator.bare import BareBoard, BarePico
from host_tools.emulator.bare.stand_in import pico_firmware
from host_tools.emulator.bootsel import CHIPS
from host_tools.emulator.bootsel.chips import crc32
from tests.flash.bare_bench import on_the_table, run_tool

UF2 = pico_firmware(CHIPS["rp2040"])
PROGRAM = b"".join(UF2[at + 32 : at + 288] for at in range(0, len(UF2), 512))


def _image(board: BareBoard) -> bytes:
    return (board.directory / "flash.bin").read_bytes()


async def _settled(board: BareBoard, state: str) -> None:
    async with asyncio.timeout(120):
        while board.state != state:
            await asyncio.sleep(0.01)
        await board.wait_change()


def test_the_crc_is_the_one_of_the_roms_own_example() -> None:
    # CRC-32/MPEG-2 of the check string (catalogue of parametrised CRC algorithms).
    assert crc32(b"123456789") == 0x0376E6E7


@pytest.mark.parametrize("kind", ["pico_w", "pico2_w"])
async def test_a_copied_file_is_in_flash_and_runs(tmp_path: Path, micropython: Path, kind: str) -> None:
    async with on_the_table(kind, tmp_path / "board", micropython) as board:
        assert isinstance(board, BarePico)
        assert board.state == "loader"
        info = (board.drive.path / "INFO_UF2.TXT").read_text().splitlines()
        assert f"Board-ID: {board.chip.board_id}" in info
        uf2 = pico_firmware(board.chip)
        (tmp_path / "fw.uf2").write_bytes(uf2)
        shutil.copy(tmp_path / "fw.uf2", board.drive.path)
        await _settled(board, "running")
        assert not board.drive.path.exists()
        assert board.drive.passed_over == []
        code, said = await run_tool("mpremote", "connect", board.serial_port, "exec", "import rp2; print(rp2.Flash())")
        assert code == 0, said
        # And back, as `mpremote bootloader` asks for it.
        await run_tool("mpremote", "connect", board.serial_port, "bootloader")
        await _settled(board, "loader")
        assert board.drive.path.is_dir()
    assert _image(board)[: len(PROGRAM)] == PROGRAM


async def test_what_is_not_for_this_chip_is_passed_over_and_the_drive_stays(tmp_path: Path, micropython: Path) -> None:
    async with on_the_table("pico_w", tmp_path / "board", micropython) as board:
        assert isinstance(board, BarePico)
        (board.drive.path / "other.uf2").write_bytes(pico_firmware(CHIPS["rp2350"]))
        (board.drive.path / "notes.txt").write_bytes(b"x" * 512)
        far = bytearray(UF2[:512])
        far[12:16] = (0x10000000 + 2 * 1024 * 1024).to_bytes(4, "little")
        (board.drive.path / "far.uf2").write_bytes(far)
        async with asyncio.timeout(120):
            while len(board.drive.passed_over) < len(UF2) // 512 + 2:
                await asyncio.sleep(0.01)
        assert {"family 0xe48bff59", "no UF2 block", "address 0x10200000, 256 bytes"} == set(board.drive.passed_over)
        assert board.state == "loader"
    assert _image(board).count(0xFF) == 2 * 1024 * 1024


@pytest.mark.parametrize("seed", range(4))
async def test_a_cable_pulled_at_any_byte_leaves_a_board_that_can_be_flashed_again(
    tmp_path: Path, micropython: Path, seed: int
) -> None:
    cut = random.Random(seed).randrange(len(UF2))
    async with on_the_table("pico_w", tmp_path / "board", micropython) as board:
        assert isinstance(board, BarePico)
        board.pull_cable_after(cut)
        with contextlib.suppress(OSError):
            (board.drive.path / "fw.uf2").write_bytes(UF2)
        await _settled(board, "off")
        assert not board.drive.path.exists()
        written = cut // 512 * 256
        image = _image(board)
        assert image[:written] == PROGRAM[:written]
        assert image[written:].count(0xFF) == len(image) - written
        # Half a program whose second stage is whole would start, and hang; BOOTSEL is held then.
        board.holds_bootsel = True
        await board.plug_in()
        board.holds_bootsel = False
        (board.drive.path / "fw.uf2").write_bytes(UF2)
        await _settled(board, "running")
    assert _image(board)[: len(PROGRAM)] == PROGRAM
