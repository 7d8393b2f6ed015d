"""An ESP32's firmware file and partition table: checked before anything is written, and given a place for the ring.

Sources: Espressif, "Firmware Image Format" in the documentation of esptool; ESP-IDF, "Partition Tables".
"""

import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from host_tools.boards import Board
from host_tools.boards.board import Partition
from host_tools.errors import UserError
from host_tools.flash.release import Release
from host_tools.toolchain.process import ProgramFailed, run

TABLE_OFFSET = 0x8000
TABLE_BYTES = 0xC00
_SECTOR_BYTES = 4096
_PIECE_BYTES = 0x40000  # what an interrupted flash loses at the most
_MAGIC = 0xE9
_CHIP_IDS = {0: "esp32", 2: "esp32s2", 5: "esp32c3", 9: "esp32s3", 12: "esp32c2", 13: "esp32c6", 16: "esp32h2"}
_ROW = struct.Struct("<HBBII16sI")
_ROW_MAGIC = 0x50AA
_TOOL_TIMEOUT_S = 60
# Which subtype mp-image-tool-esp32 is asked for; files and raw data are marked as FAT by MicroPython.
# Names that MicroPython has in its table of names only where ROMFS is built in (extmod/modvfs.c).
_ROMFS_NAMES = (b"VfsRom\0", b"rom_ioctl\0")
_SUBTYPES = {"nvs": "nvs", "phy_init": "phy", "factory": "factory", "otadata": "ota"}


@dataclass(frozen=True)
class Piece:
    """A part of the firmware that is written and checked on its own."""

    offset: int
    data: bytes


def check_file(path: Path, release: Release) -> None:
    """Check that `path` is a whole firmware for the chip of `release`. UserError says what it is instead."""
    try:
        with path.open("rb") as file:
            header = file.read(24)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if len(header) < 24 or header[0] != _MAGIC:
        raise UserError(f"{path} is no firmware for an ESP32: expected a file such as {release.file}")
    chip_id = int.from_bytes(header[12:14], "little")
    if _CHIP_IDS.get(chip_id) != release.chip:
        raise UserError(
            f"{path} is for {_CHIP_IDS.get(chip_id, f'chip number {chip_id}')}, not for {release.chip}: "
            f"expected a file such as {release.file}"
        )
    if path.stat().st_size < 0x10000 - release.offset:
        raise UserError(
            f"{path} is the application alone: expected the whole firmware, such as {release.file} (not .app-bin)"
        )


def parse_table(table: bytes) -> list[Partition] | None:
    """Return the rows of a partition table, or None if it is none. The type is "app" or "data"."""
    rows = []
    for at in range(0, len(table) - _ROW.size + 1, _ROW.size):
        magic, kind, _, offset, size, label, _ = _ROW.unpack_from(table, at)
        if magic != _ROW_MAGIC:
            break
        name = label.rstrip(b"\0").decode("ascii", "replace")
        rows.append(Partition(name, "app" if kind == 0 else "data", offset, size))
    return rows or None


def has_romfs(path: Path) -> bool:
    """Return whether the firmware in `path` mounts a partition `romfs` and runs code where it lies there."""
    content = path.read_bytes()
    return all(name in content for name in _ROMFS_NAMES)


def application_bytes(path: Path, release: Release) -> int:
    """Return how large the application in `path` is."""
    return path.stat().st_size - (0x10000 - release.offset)


def with_ring(firmware: Path, board: Board, release: Release, work: Path) -> Path:
    """Return a copy of `firmware` in `work` whose partition table is the one of `board`, with a place for the ring.

    mp-image-tool-esp32 writes it. UserError if it cannot, or if the application does not fit.
    """
    size = application_bytes(firmware, release)
    room = board.partition("factory").size
    if size > room:
        raise UserError(f"{firmware} does not fit: its application has {size} bytes, partition factory {room}")
    csv = work / "partitions.csv"
    rows = [
        f"{row.label}, {row.type}, {_SUBTYPES.get(row.label, 'fat')}, {row.offset:#x}, {row.size:#x}, 0"
        for row in board.partitions
    ]
    csv.write_text("# name, type, subtype, offset, size, flags\n" + "\n".join(rows) + "\n")
    made = work / "firmware.bin"
    code = "from mp_image_tool_esp32.main import main; main()"
    try:
        run([sys.executable, "-c", code, "-q", firmware, "--from-csv", csv, "-o", made], _TOOL_TIMEOUT_S)
    except ProgramFailed as failure:
        raise UserError(f"mp-image-tool-esp32 cannot change {firmware}: {failure.reason}") from failure
    at = TABLE_OFFSET - release.offset
    found = parse_table(made.read_bytes()[at : at + TABLE_BYTES])
    if found != list(board.partitions):
        raise UserError(f"mp-image-tool-esp32 made another partition table than boards/{board.name}/board.toml wants")
    return made


def pieces(firmware: bytes, release: Release) -> list[Piece]:
    """Return what is to be written, in the order that keeps a half flashed board from starting.

    The application first, then the table, the boot loader last. What lies between them, such as nvs, belongs
    to the board and is left alone.
    """
    table_at, application_at = TABLE_OFFSET - release.offset, 0x10000 - release.offset
    application = firmware[application_at:]
    found = [
        Piece(0x10000 + at, application[at : at + _PIECE_BYTES]) for at in range(0, len(application), _PIECE_BYTES)
    ]
    found.append(Piece(TABLE_OFFSET, firmware[table_at : table_at + _SECTOR_BYTES]))
    found.append(Piece(release.offset, firmware[:table_at].rstrip(b"\xff")))
    return found


def moved(now: Sequence[Partition] | None, wanted: Sequence[Partition], label: str) -> bool:
    """Whether partition `label` is not at the place in `now` where `wanted` has it."""
    return [row for row in now or () if row.label == label] != [row for row in wanted if row.label == label]
