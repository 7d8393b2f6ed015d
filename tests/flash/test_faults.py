"""What goes wrong on the way onto a board: each fault is told in a sentence, and costs nothing that was stored.

Goal: for a cable pulled at any byte, a wrong chip, a file that does not fit, a drive that refuses, two boards
at once and a board that says nothing, the user learns what to do; the same command then goes on; and the bytes
of the ring and of the file system are the same before and after. The tools are the real ones throughout.
"""

import asyncio
import errno
import os
import random
from pathlib import Path
from typing import Any

import pytest

from host_tools import boards
from host_tools.emulator import BoardShape
from host_tools.emulator.bare import BareEsp32, stand_in_firmware
from host_tools.emulator.bare.stand_in import esp32_firmware, pico_firmware
from host_tools.emulator.bootsel import CHIPS as RP_CHIPS
from host_tools.emulator.rom_loader import CHIPS
from host_tools.errors import UserError
from host_tools.flash import bootsel, devices, esp32, esp_firmware, install, prompt, uf2
from host_tools.flash.esptool import Esptool
from host_tools.flash.release import release_for
from host_tools.toolchain import firmware as firmware_tree
from tests.flash.bare_bench import NOWHERE, on_the_table

ESP32 = boards.load("esp32")
PICO = boards.load("pico_w")


class Quiet:
    """A progress that nobody watches."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}

    def __call__(self, line: str) -> None:
        pass

    def share(self, stage: str, share: float) -> None:
        assert 0 <= share <= 1
        assert share >= self.stages.get(stage, 0)
        self.stages[stage] = share


def _flash(port: Path, firmware: Path, wipe: bool = False) -> esp32.Work:
    """Do what `fieldpost flash` does to a chip, and return what that was."""
    tool = Esptool(str(port))
    work = esp32.look(tool, ESP32, release_for("esp32"), firmware, wipe)
    progress = Quiet()
    esp32.do(tool, work, progress)
    assert not work.missing or progress.stages == {"writing MicroPython": 1.0}
    return work


def _stored(image: Path) -> bytes:
    """Return what the device has stored: ring and file system."""
    data = image.read_bytes()
    rows = [ESP32.partition("queue"), ESP32.partition("vfs")]
    return b"".join(data[row.offset : row.offset + row.size] for row in rows)


def _store(image: Path, seed: int) -> None:
    with image.open("r+b") as file:
        for label in ("queue", "vfs"):
            file.seek(ESP32.partition(label).offset)
            file.write(random.Random(seed).randbytes(50_000))


async def _until_off(board: BareEsp32) -> None:
    async with asyncio.timeout(120):
        while board.state != "off":
            await asyncio.sleep(0.02)
        await board.wait_change()


# FIELDPOST_FLASH_CUTS=50 pulls it fifty times; each takes ten seconds.
@pytest.mark.parametrize("seed", range(3, 3 + int(os.environ.get("FIELDPOST_FLASH_CUTS", "1"))))
async def test_a_cable_pulled_at_any_byte_loses_nothing_and_the_same_command_goes_on(
    tmp_path: Path, micropython: Path, seed: int
) -> None:
    old, new = tmp_path / "old.bin", tmp_path / "new.bin"
    old.write_bytes(esp32_firmware(CHIPS["esp32"], version=1))
    new.write_bytes(esp32_firmware(CHIPS["esp32"], app_bytes=300_000, version=2))
    directory = tmp_path / "board"
    image = directory / "flash.bin"
    async with on_the_table("esp32", directory, micropython) as board:
        assert isinstance(board, BareEsp32)
        first = await asyncio.to_thread(_flash, board.serial_port, old)
        assert first.erase, "the first flash makes room for the ring"
        _store(image, seed)
        stored = _stored(image)

        # What is sent: three looks of 10 KB, most of it the stub, then what 300 KB are when they are compressed.
        board.pull_cable_after(random.Random(seed).randrange(120_000))
        with pytest.raises(UserError) as raised:
            await asyncio.to_thread(_flash, board.serial_port, new)
        assert "went away" in str(raised.value) or "does not answer" in str(raised.value), str(raised.value)
        await _until_off(board)
        assert _stored(image) == stored

        await board.plug_in()
        again = await asyncio.to_thread(_flash, board.serial_port, new)
        assert not again.erase
        assert _stored(image) == stored
        third = await asyncio.to_thread(_flash, board.serial_port, new)
        assert third.missing == [], "what is there is not written again"
        await board.unplug()
        await board.plug_in()
        assert board.state == "running"
    data = image.read_bytes()
    application = new.read_bytes()[0xF000:]
    assert data[0x10000 : 0x10000 + len(application)] == application


@pytest.mark.parametrize("seed", range(3, 3 + int(os.environ.get("FIELDPOST_FLASH_CUTS", "1"))))
async def test_a_cable_pulled_while_the_agent_is_copied_costs_a_second_run(
    tmp_path: Path, micropython: Path, seed: int
) -> None:
    (tmp_path / "fw.bin").write_bytes(stand_in_firmware("esp32"))
    tree = firmware_tree.build(tmp_path / "tree", lambda line: None)
    config = ESP32.device_config("shed-1", "hub.example", wifi=[{"ssid": "shed"}])
    identity = {"device_id": "shed-1", "key": "MDEyMzQ1Njc4OWFiY2RlZg==", "ca_der": "", "wifi_passwords": {}}
    async with on_the_table("esp32", tmp_path / "board", micropython) as board:
        assert isinstance(board, BareEsp32)

        async def put() -> None:
            await asyncio.to_thread(install, str(board.serial_port), tree, config, identity, Quiet())

        await asyncio.to_thread(_flash, board.serial_port, tmp_path / "fw.bin")
        about = await asyncio.to_thread(prompt.ask, str(board.serial_port), 4)
        assert about is not None and not about.has_identity
        board.pull_cable_after(random.Random(seed).randrange(80_000))
        with pytest.raises(UserError, match="went away: plug it in again"):
            await put()
        await _until_off(board)
        await board.plug_in()
        await put()
        about = await asyncio.to_thread(prompt.ask, str(board.serial_port), 4)
        assert about is not None and about.has_identity and about.device == "shed-1"


async def test_wipe_erases_everything(tmp_path: Path, micropython: Path) -> None:
    firmware = tmp_path / "fw.bin"
    firmware.write_bytes(stand_in_firmware("esp32"))
    async with on_the_table("esp32", tmp_path / "board", micropython) as board:
        (tmp_path / "board" / "flash.bin").write_bytes(b"\x55" * 0x400000)
        await asyncio.to_thread(_flash, board.serial_port, firmware, True)
    assert _stored(tmp_path / "board" / "flash.bin").count(0xFF) == 0x200000


async def test_a_ring_that_lies_elsewhere_is_not_given_up(tmp_path: Path, micropython: Path) -> None:
    firmware = tmp_path / "fw.bin"
    firmware.write_bytes(stand_in_firmware("esp32"))
    async with on_the_table("esp32", tmp_path / "board", micropython) as board:
        await asyncio.to_thread(_flash, board.serial_port, firmware)
        with (tmp_path / "board" / "flash.bin").open("r+b") as file:
            file.seek(esp_firmware.TABLE_OFFSET + 3 * 32 + 8)
            file.write((0x3000).to_bytes(4, "little"))  # its size
        with pytest.raises(UserError, match="its readings would be lost"):
            await asyncio.to_thread(_flash, board.serial_port, firmware)


async def test_a_wrong_chip_is_told(tmp_path: Path, micropython: Path) -> None:
    firmware = tmp_path / "fw.bin"
    firmware.write_bytes(stand_in_firmware("esp32"))
    async with on_the_table("esp32c3", tmp_path / "board", micropython) as board:
        with pytest.raises(UserError, match="the board has an esp32c3, not an esp32"):
            await asyncio.to_thread(_flash, board.serial_port, firmware)
    assert (tmp_path / "board" / "flash.bin").read_bytes().count(0xFF) == 0x400000


async def test_a_flash_that_is_too_small_is_told(tmp_path: Path, micropython: Path) -> None:
    firmware = tmp_path / "fw.bin"
    firmware.write_bytes(stand_in_firmware("esp32"))
    shape = BoardShape.esp32(flash_bytes=0x200000)
    board = BareEsp32(tmp_path / "board", "small", CHIPS["esp32"], shape, micropython, NOWHERE)
    await board.plug_in()
    try:
        with pytest.raises(UserError, match=r"the board has 2 MiB of flash, .* needs 4 MiB"):
            await asyncio.to_thread(_flash, board.serial_port, firmware)
    finally:
        await board.unplug()


async def test_a_board_that_says_nothing_is_told(tmp_path: Path) -> None:
    firmware = tmp_path / "fw.bin"
    firmware.write_bytes(stand_in_firmware("esp32"))
    ours, theirs = os.openpty()
    try:
        with pytest.raises(UserError, match="does not answer: use a cable that carries data"):
            await asyncio.to_thread(_flash, Path(os.ttyname(theirs)), firmware)
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no firmware for an ESP32"),
        (b"\x00" * 70_000, "is no firmware for an ESP32"),
        (esp32_firmware(CHIPS["esp32s3"]), "is for esp32s3, not for esp32"),
        (esp32_firmware(CHIPS["esp32"])[0xF000:0x10000], "is the application alone"),
    ],
)
def test_a_file_that_is_no_firmware_for_this_chip_is_told_before_anything_happens(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "fw.bin"
    path.write_bytes(content)
    with pytest.raises(UserError, match=said):
        esp_firmware.check_file(path, release_for("esp32"))


def test_a_program_that_does_not_fit_is_told(tmp_path: Path) -> None:
    path = tmp_path / "fw.bin"
    path.write_bytes(esp32_firmware(CHIPS["esp32"], app_bytes=0x1F0000))
    with pytest.raises(UserError, match="does not fit: its application has 2031"):
        esp_firmware.with_ring(path, ESP32, release_for("esp32"), tmp_path)


UF2 = pico_firmware(RP_CHIPS["rp2040"])
_OTHER = UF2[512:1024]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no UF2 file"),
        (UF2[:-100], "is no UF2 file, or only a part of one"),
        (UF2[:-512], "ends early: it has 234 of 235 blocks"),
        (UF2[:512] + bytes(512) + UF2[1024:], "block 1 is no UF2 block"),
        (UF2[:512] + UF2[1024:1536] + UF2[1024:], "block 2 stands where block 1 belongs"),
        (pico_firmware(RP_CHIPS["rp2350"]), "is for rp2350, not for rp2040"),
        (pico_firmware(RP_CHIPS["rp2040"], program_bytes=0x12D000), "does not fit: it reaches to"),
    ],
)
def test_a_uf2_file_that_is_not_right_is_told_before_it_is_copied(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "fw.uf2"
    path.write_bytes(content)
    assert PICO.storage is not None
    with pytest.raises(UserError, match=said):
        uf2.check_file(path, release_for("pico_w"), PICO.storage.offset)


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """A drive that does nothing."""
    folder = tmp_path / "RPI-RP2"
    folder.mkdir()
    (folder / "INFO_UF2.TXT").write_text("UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n")
    (tmp_path / "fw.uf2").write_bytes(UF2)
    return folder


def test_a_full_drive_is_told(drive: Path) -> None:
    (drive / "firmware.uf2").symlink_to("/dev/full")
    with pytest.raises(UserError, match="is full: hold BOOTSEL"):
        bootsel.copy(drive.parent / "fw.uf2", drive, Quiet())


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_write_protected_drive_is_told(drive: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    real_open = Path.open

    def refuse(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if path.parent == drive and "w" in mode:
            raise OSError(number, os.strerror(number), str(path))
        return real_open(path, mode, *rest, **named)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match="is write-protected for you"):
        bootsel.copy(drive.parent / "fw.uf2", drive, Quiet())


def test_a_drive_that_does_not_take_the_file_is_told(drive: Path) -> None:
    with pytest.raises(UserError, match="is still there 20 s after the copy"):
        bootsel.copy(drive.parent / "fw.uf2", drive, Quiet(), sleep=lambda seconds: None)


async def test_two_boards_at_once_are_listed_and_one_is_found(tmp_path: Path, micropython: Path) -> None:
    folders = [tmp_path / "left", tmp_path / "right"]
    async with on_the_table("esp32", folders[0], micropython, name="left") as left:
        one = [device for device in devices.plugged_in(folders) if "emulated" in device.what]
        assert devices.find("esp32", "esp32", None, None, one).port == str(left.serial_port)
        async with on_the_table("esp32", folders[1], micropython, name="right") as right:
            both = [device for device in devices.plugged_in(folders) if "emulated" in device.what]
            with pytest.raises(UserError) as raised:
                devices.find("esp32", "esp32", None, None, both)
            for port in (left.serial_port, right.serial_port):
                assert str(port) in str(raised.value)
            assert "Name one with --port or --drive" in str(raised.value)
            assert devices.find("esp32", "esp32", str(right.serial_port), None, both).port == str(right.serial_port)


def test_no_board_and_a_wrong_drive_are_told(drive: Path) -> None:
    with pytest.raises(UserError, match="no board found: hold BOOTSEL"):
        devices.find("rp2", "rp2040", None, None, [])
    with pytest.raises(UserError, match="has an rp2040, not an rp2350"):
        devices.find("rp2", "rp2350", None, drive, [])
    with pytest.raises(UserError, match="is no BOOTSEL drive"):
        devices.find("rp2", "rp2040", None, drive.parent, [])
