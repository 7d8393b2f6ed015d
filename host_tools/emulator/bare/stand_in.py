"""Firmware files for emulated boards: built like MicroPython's releases, around code that says nothing.

An emulated board checks every byte of such a file on its way into flash and at each start, and then runs the
MicroPython of this machine. So the whole way of a firmware can be gone without a download.
"""

import hashlib
import random
import struct

from host_tools.emulator.bare.esp_image import ROMFS_NAMES, TABLE_OFFSET
from host_tools.emulator.bootsel.chips import FLASH_ADDRESS, RpChip, crc32
from host_tools.emulator.rom_loader import Chip
from host_tools.emulator.shape import TYPE_APP, TYPE_DATA, Partition

APP_OFFSET = 0x10000
_LOAD_ADDRESS = 0x4037_0000
_ENTRY = 0x4037_0010
_FLASH_MODE_DIO = 2
_FLASH_SIZE_IDS = {0x20_0000: 1, 0x40_0000: 2, 0x80_0000: 3, 0x100_0000: 4}
_BOOTLOADER_BYTES = 6000
_SUBTYPE_FAT = 0x81
_UF2_PAYLOAD_BYTES = 256


def esp32_firmware(
    chip: Chip, flash_bytes: int = 0x40_0000, app_bytes: int = 120_000, version: int = 1, has_romfs: bool = False
) -> bytes:
    """Return what MicroPython calls firmware.bin: everything from the ROM's boot offset to the application's end.

    has_romfs: whether it is one with ROMFS built in, as tools and the emulated chip see it. Its partition table is the
    stock one (MicroPython, ports/esp32/partitions-4MiB.csv).
    """
    rows = (
        Partition("nvs", TYPE_DATA, 0x02, 0x9000, 0x6000),
        Partition("phy_init", TYPE_DATA, 0x01, 0xF000, 0x1000),
        Partition("factory", TYPE_APP, 0x00, APP_OFFSET, 0x1F0000),
        Partition("vfs", TYPE_DATA, _SUBTYPE_FAT, 0x200000, flash_bytes - 0x200000),
    )
    whole = bytearray(b"\xff" * APP_OFFSET)
    boot_loader = _image(chip, flash_bytes, _filling(_BOOTLOADER_BYTES, version))
    whole[chip.boot_offset : chip.boot_offset + len(boot_loader)] = boot_loader
    table = b"".join(
        struct.pack("<HBBII16sI", 0x50AA, row.type, row.subtype, row.offset, row.size, row.label.encode(), 0)
        for row in rows
    )
    table += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(table, usedforsecurity=False).digest()
    whole[TABLE_OFFSET : TABLE_OFFSET + len(table)] = table
    program = _filling(app_bytes, version + 1000)
    if has_romfs:
        program = ROMFS_NAMES + bytes(-len(ROMFS_NAMES) % 4) + program[: -len(ROMFS_NAMES) // 4 * 4]
    return bytes(whole[chip.boot_offset :]) + _image(chip, flash_bytes, program)


def pico_firmware(chip: RpChip, program_bytes: int = 60_000, version: int = 1) -> bytes:
    """Return a UF2 file with a second stage that the ROM accepts, and a program behind it."""
    program = bytearray(_filling(program_bytes, version) + bytes(-program_bytes % _UF2_PAYLOAD_BYTES))
    program[252:256] = crc32(bytes(program[:252])).to_bytes(4, "little")
    # The marker of an image definition, where an RP2350 looks for one.
    program[256:260] = bytes.fromhex("d3deffff")
    pages = [bytes(program[at : at + _UF2_PAYLOAD_BYTES]) for at in range(0, len(program), _UF2_PAYLOAD_BYTES)]
    blocks = []
    for number, page in enumerate(pages):
        address = FLASH_ADDRESS + number * _UF2_PAYLOAD_BYTES
        fields = (0x0A324655, 0x9E5D5157, 0x2000, address, len(page), number, len(pages), chip.family)
        blocks.append(struct.pack("<8I", *fields) + page.ljust(476, b"\0") + struct.pack("<I", 0x0AB16F30))
    return b"".join(blocks)


def _image(chip: Chip, flash_bytes: int, code: bytes) -> bytes:
    """Return an image of one segment, with its checksum and its hash."""
    flash = _FLASH_SIZE_IDS[flash_bytes] << 4
    header = struct.pack("<BBBBI", 0xE9, 1, _FLASH_MODE_DIO, flash, _ENTRY)
    header += struct.pack("<B3sHBHH4sB", 0xEE, bytes(3), chip.image_id, 0, 0, 0xFFFF, bytes(4), 1)
    body = header + struct.pack("<II", _LOAD_ADDRESS, len(code)) + code
    checksum = 0xEF
    for byte in code:
        checksum ^= byte
    body += bytes(15 - len(body) % 16) + bytes([checksum])
    return body + hashlib.sha256(body).digest()


def _filling(length: int, seed: int) -> bytes:
    """Return bytes that compress about as well as a program does."""
    generator = random.Random(seed)
    words = [generator.randbytes(4) for _ in range(2048)]
    return b"".join(generator.choices(words, k=(length + 3) // 4))[: length // 4 * 4]
