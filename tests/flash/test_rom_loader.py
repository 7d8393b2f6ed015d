"""The emulated boot loader, judged by Espressif's own esptool, unmodified, over a pseudo terminal.

Goal: what esptool says it wrote is in the flash image, byte for byte, by every way it knows; what it should
refuse it refuses. The protocol's corners that esptool never visits are visited by hand, without a port.
"""

import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from host_tools.emulator.bare import BareEsp32
from host_tools.emulator.bare.esp_image import NotBootable, boot
from host_tools.emulator.bare.stand_in import esp32_firmware
from host_tools.emulator.nor_flash import NorFlash
from host_tools.emulator.rom_loader import CHIPS, RomLoader, loader, slip
from tests.flash.bare_bench import on_the_table, run_tool

FLASH_BYTES = {"esp32": 0x400000, "esp32s3": 0x800000, "esp32c3": 0x400000}
DATA = random.Random(7).randbytes(40_000) + bytes(30_000) + b"\xc0\xdb\xff\x03" * 500


@pytest.mark.parametrize(
    ("chip", "options", "commands"),
    [
        ("esp32", ["--no-stub"], {loader.FLASH_BEGIN, loader.FLASH_DATA, loader.SPI_FLASH_MD5}),
        ("esp32", [], {loader.MEM_END, loader.DEFLATE_BEGIN, loader.DEFLATE_DATA}),
        ("esp32s3", ["--baud", "921600"], {loader.GET_SECURITY_INFO, loader.CHANGE_BAUDRATE, loader.DEFLATE_DATA}),
        ("esp32c3", ["--no-stub"], {loader.GET_SECURITY_INFO, loader.FLASH_DATA}),
    ],
)
async def test_esptool_writes_verifies_and_reads_back(
    tmp_path: Path, micropython: Path, chip: str, options: list[str], commands: set[int]
) -> None:
    (tmp_path / "data").write_bytes(DATA)
    async with on_the_table(chip, tmp_path / "board", micropython) as board:
        port = ["--port", board.serial_port, *options]
        code, said = await run_tool("esptool", *port, "write-flash", "0x20000", tmp_path / "data")
        assert code == 0 and "Hash of data verified" in said, said
        assert isinstance(board, BareEsp32) and board.loader is not None
        assert f"MAC:                {board.mac.hex(':')}" in said
        assert commands <= set(board.loader.commands)
        code, said = await run_tool("esptool", *port, "read-flash", "0x20000", 5000, tmp_path / "back")
        assert code == 0, said
        assert (tmp_path / "back").read_bytes() == DATA[:5000]
    image = (tmp_path / "board" / "flash.bin").read_bytes()
    assert len(image) == FLASH_BYTES[chip]
    assert image[0x20000 : 0x20000 + len(DATA)] == DATA
    assert image[:0x20000].count(0xFF) == 0x20000


async def test_esptool_knows_the_chip_the_flash_and_what_differs(tmp_path: Path, micropython: Path) -> None:
    (tmp_path / "data").write_bytes(DATA)
    async with on_the_table("esp32", tmp_path / "board", micropython) as board:
        port = ["--port", board.serial_port]
        code, said = await run_tool("esptool", *port, "flash-id")
        assert code == 0 and "Detected flash size: 4MB" in said and "ESP32-D0WDQ6" in said, said
        code, said = await run_tool("esptool", "--chip", "esp32s3", *port, "flash-id")
        assert code != 0 and "This chip is ESP32, not ESP32-S3" in said
        code, said = await run_tool("esptool", *port, "verify-flash", "0x1000", tmp_path / "data")
        assert code != 0 and "digest mismatch" in said


async def test_a_flashed_board_boots_and_a_sync_brings_the_loader_back(tmp_path: Path, micropython: Path) -> None:
    (tmp_path / "fw.bin").write_bytes(esp32_firmware(CHIPS["esp32"]))
    async with on_the_table("esp32", tmp_path / "board", micropython) as board:
        assert board.state == "dead"
        port = ["--port", board.serial_port]
        code, said = await run_tool("esptool", *port, "write-flash", "0x1000", tmp_path / "fw.bin")
        assert code == 0, said
        ask = ["connect", board.serial_port, "exec", "import os, esp32; print(esp32.Partition.find()[0].info()[4])"]
        code, said = await run_tool("mpremote", *ask)
        assert (code, said.strip()) == (0, "factory"), said
        assert board.state == "running"
        code, said = await run_tool("esptool", *port, "flash-id")
        assert code == 0, said
        assert board.state == "loader"
        await board.unplug()
        await board.plug_in()
        assert board.state == "running"


def test_a_chip_refuses_what_is_damaged_absent_or_for_another() -> None:
    chip = CHIPS["esp32"]
    whole = b"\xff" * chip.boot_offset + esp32_firmware(chip)
    whole += b"\xff" * (FLASH_BYTES["esp32"] - len(whole))
    assert [row.label for row in boot(whole, chip)[0]] == ["nvs", "phy_init", "factory", "vfs"]
    for offset, said in [
        (0x1000, "invalid header"),
        (0x1100, "Checksum failed"),
        (0x8005, "MD5 mismatch"),
        (0x8000, "invalid magic number"),
        (0x12345, "Checksum failed"),
        (0x1001 + 12, "chip ID"),
    ]:
        damaged = whole[:offset] + bytes([whole[offset] ^ 0x41]) + whole[offset + 1 :]
        with pytest.raises(NotBootable, match=said):
            boot(damaged, chip)
    with pytest.raises(NotBootable, match="invalid header: 0xffffffff"):
        boot(b"\xff" * 0x400000, chip)
    with pytest.raises(NotBootable, match="chip ID"):
        boot(whole[0x1000:] + b"\xff" * 0x1000, CHIPS["esp32s3"])


# Without a port

MAC = bytes.fromhex("240ac4000001")


class Host:
    """Speaks to a loader by hand."""

    def __init__(self) -> None:
        self.flash = NorFlash(0x40000, strict=False)
        self.restarts = 0
        self.loader = RomLoader(CHIPS["esp32"], self.flash, MAC, self._restarted)
        self._decoder = slip.Decoder()

    def _restarted(self) -> None:
        self.restarts += 1

    def ask(self, command: int, body: bytes = b"", checksum: int = 0, data: bytes = b"") -> tuple[int, int]:
        """Return the status and the reason of the answer."""
        for byte in data:
            checksum ^= byte
        packet = struct.pack("<BBHI", 0, command, len(body) + len(data), checksum) + body + data
        answers = list(self._answers(self.loader.receive(slip.frame(packet))))
        assert answers, "no answer"
        return answers[0][8], answers[0][9]

    def _answers(self, said: bytes) -> Iterator[bytes]:
        return self._decoder.feed(said)

    def block(self, number: int, data: bytes, command: int = loader.FLASH_DATA, spoil: int = 0) -> tuple[int, int]:
        body = struct.pack("<IIII", len(data), number, 0, 0)
        return self.ask(command, body, 0xEF ^ spoil, data)


@pytest.fixture
def host() -> Host:
    return Host()


def test_a_damaged_block_is_refused_and_may_be_sent_again(host: Host) -> None:
    assert host.ask(loader.FLASH_BEGIN, struct.pack("<IIII", 2048, 2, 1024, 0)) == (0, 0)
    assert host.block(0, b"a" * 1024, spoil=1) == (1, 0x07)
    assert host.block(0, b"a" * 1024) == (0, 0)
    assert host.block(0, b"a" * 1024) == (0, 0)  # its answer got lost
    assert host.block(2, b"c" * 1024) == (1, 0x06)
    assert host.block(1, b"b" * 1024) == (0, 0)
    assert bytes(host.flash.memory[:2048]) == b"a" * 1024 + b"b" * 1024
    assert bytes(host.flash.memory[2048:4096]) == b"\xff" * 2048


def test_what_does_not_fit_or_is_no_deflate_stream_is_refused(host: Host) -> None:
    size = len(host.flash.memory)
    assert host.ask(loader.FLASH_BEGIN, struct.pack("<IIII", 8192, 8, 1024, size - 4096)) == (1, 0x06)
    assert host.ask(loader.DEFLATE_BEGIN, struct.pack("<IIII", 4096, 1, 1024, 0)) == (0, 0)
    assert host.block(0, b"no zlib", loader.DEFLATE_DATA) == (1, 0x0B)
    assert host.ask(loader.DEFLATE_BEGIN, struct.pack("<IIII", 4096, 1, 1024, size - 4096)) == (0, 0)
    assert host.block(0, zlib.compress(bytes(8192)), loader.DEFLATE_DATA) == (1, 0x08)


def test_stub_commands_are_unknown_to_the_rom_and_a_new_sync_is_answered_by_the_rom(host: Host) -> None:
    erase = struct.pack("<II", 0, 4096)
    assert host.ask(loader.ERASE_REGION, erase) == (1, 0x05)
    assert host.ask(loader.MEM_END, struct.pack("<II", 0, 0x40080000)) == (0, 0)
    assert host.ask(loader.ERASE_REGION, erase) == (0, 0)
    assert host.loader.receive(slip.frame(struct.pack("<BBHI", 0, loader.SYNC, 36, 0) + bytes(36))).count(0xC0) == 16
    assert host.ask(loader.ERASE_REGION, erase) == (1, 0x05)


def test_the_program_is_started_when_the_host_says_so(host: Host) -> None:
    assert host.ask(loader.FLASH_END, struct.pack("<I", 1)) == (0, 0)
    assert host.restarts == 0
    assert host.ask(loader.FLASH_END, struct.pack("<I", 0)) == (0, 0)
    assert host.restarts == 1


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_reason_to_stop_listening(host: Host, seed: int) -> None:
    noise = random.Random(seed).randbytes(3000)
    host.loader.receive(noise)
    host.loader.forget_frame()
    assert host.ask(loader.SPI_ATTACH, bytes(8)) == (0, 0)
