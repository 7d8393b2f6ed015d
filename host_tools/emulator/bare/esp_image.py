"""What an ESP32 looks at before it runs a program: images and the partition table.

Sources: Espressif, "Firmware Image Format" in the documentation of esptool; ESP-IDF, "Partition Tables".
"""

import hashlib
import struct

from host_tools.emulator.rom_loader import Chip
from host_tools.emulator.shape import TYPE_APP, TYPE_DATA, Partition

TABLE_OFFSET = 0x8000
_TABLE_BYTES = 0xC00
_ROW_BYTES = 32
_ROW_MAGIC = 0x50AA
_MD5_MAGIC = 0xEBEB
_IMAGE_MAGIC = 0xE9
_HEADER_BYTES = 24
_SEGMENTS_MAX = 16
_CHECKSUM_SEED = 0xEF
_SUBTYPE_FAT = 0x81
# What MicroPython's program holds where ROMFS is built in: names of the module `vfs` (extmod/modvfs.c).
ROMFS_NAMES = b"VfsRom\0rom_ioctl\0"


class NotBootable(Exception):
    """The chip does not run what is in its flash; the message is what it prints."""


def check_image(flash: bytes, offset: int, chip: Chip) -> None:
    """Check the image at `offset` as the ROM does before it jumps into it. Raises NotBootable."""
    header = flash[offset : offset + _HEADER_BYTES]
    if header[0] != _IMAGE_MAGIC:
        raise NotBootable(f"invalid header: 0x{int.from_bytes(header[:4], 'little'):08x}")
    segments, has_hash = header[1], header[23]
    image_id = int.from_bytes(header[12:14], "little")
    if image_id != chip.image_id:
        raise NotBootable(f"image at 0x{offset:x} has invalid chip ID, expected {chip.image_id}, got {image_id}")
    if not 1 <= segments <= _SEGMENTS_MAX:
        raise NotBootable(f"image at 0x{offset:x} has {segments} segments")
    at = offset + _HEADER_BYTES
    checksum = _CHECKSUM_SEED
    for _ in range(segments):
        length = int.from_bytes(flash[at + 4 : at + 8], "little")
        at += 8 + length
        if at > len(flash):
            raise NotBootable(f"image at 0x{offset:x} is longer than the flash")
        for byte in flash[at - length : at]:
            checksum ^= byte
    # The checksum is the last byte of the next 16.
    at += 16 - (at - offset) % 16
    if flash[at - 1] != checksum:
        raise NotBootable(f"Checksum failed. Calculated 0x{checksum:x} read 0x{flash[at - 1]:x}")
    if has_hash and hashlib.sha256(flash[offset:at]).digest() != flash[at : at + 32]:
        raise NotBootable(f"image at 0x{offset:x}: SHA-256 comparison failed")


def read_table(flash: bytes) -> tuple[Partition, ...]:
    """Return the rows of the partition table. Raises NotBootable if it is damaged or absent."""
    rows: list[Partition] = []
    table = flash[TABLE_OFFSET : TABLE_OFFSET + _TABLE_BYTES]
    for at in range(0, len(table), _ROW_BYTES):
        row = table[at : at + _ROW_BYTES]
        magic, kind, subtype, offset, size = struct.unpack("<HBBII", row[:12])
        if magic == _MD5_MAGIC:
            if hashlib.md5(table[:at], usedforsecurity=False).digest() != row[16:32]:
                raise NotBootable("partition table MD5 mismatch")
        elif magic == _ROW_MAGIC:
            rows.append(Partition(row[12:28].rstrip(b"\0").decode("ascii", "replace"), kind, subtype, offset, size))
        elif magic == 0xFFFF:
            break
        else:
            raise NotBootable(f"partition {len(rows)} invalid magic number 0x{magic:x}")
    if not rows:
        raise NotBootable("partition table is empty")
    return tuple(rows)


def boot(flash: bytes, chip: Chip) -> tuple[tuple[Partition, ...], bool]:
    """Return the partitions that MicroPython finds when `chip` starts from `flash`, and whether it has ROMFS built in.

    Raises NotBootable.
    """
    check_image(flash, chip.boot_offset, chip)
    rows = read_table(flash)
    apps = [row for row in rows if row.type == TYPE_APP]
    if not apps:
        raise NotBootable("No bootable app partitions in the partition table")
    check_image(flash, apps[0].offset, chip)
    has_romfs = ROMFS_NAMES in flash[apps[0].offset : apps[0].offset + apps[0].size]
    if all(row.label != "vfs" for row in rows):
        # MicroPython, ports/esp32/main.c: without a partition for files it takes what the table leaves.
        end = max(row.offset + row.size for row in rows)
        rows += (Partition("vfs", TYPE_DATA, _SUBTYPE_FAT, end, len(flash) - end),)
    return rows, has_romfs
