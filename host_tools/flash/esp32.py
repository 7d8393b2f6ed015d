"""Puts MicroPython on an ESP32, with a place for the ring, and keeps what the board has stored.

What is in flash already, piece by piece, is not written again: an interrupted flash goes on where it stopped.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from host_tools.boards import ROMFS, Board
from host_tools.errors import UserError
from host_tools.flash import esp_firmware
from host_tools.flash.esp_firmware import Piece
from host_tools.flash.esptool import Chip, Esptool
from host_tools.flash.progress import Progress
from host_tools.flash.release import Release

_STAGE = "writing MicroPython"
_KEEP = ("queue", "vfs")  # readings, and identity with record numbers


@dataclass(frozen=True)
class Work:
    """What has to be done to one board; nothing has been done yet.

    missing: pieces to write, of `total`. erase: (offset, size) of regions that must not keep what is in them;
    erase_all: the whole flash goes first. romfs_bytes: of the partition for the agent's modules, 0 for none; if that is
    for want of room, lacks_room.
    """

    chip: Chip
    missing: list[Piece]
    total: int
    erase: list[tuple[int, int]]
    erase_all: bool
    romfs_bytes: int = 0
    lacks_room: bool = False

    def lines(self, firmware: Path) -> list[str]:
        """Return the work in words."""
        found = []
        if self.erase_all:
            found.append("erase the whole flash: identity, record numbers and unsent readings go (--wipe)")
        elif self.erase:
            found.append("make a partition for the ring and a new file system: nothing of fieldpost is there yet")
        else:
            found.append("keep identity, record numbers and unsent readings: their partitions stay where they are")
        if self.romfs_bytes:
            found.append(f"give ROMFS a partition of {self.romfs_bytes >> 10} KiB, at the end of the application's")
        elif self.lacks_room:
            found.append(f"no partition for ROMFS: the application in {firmware.name} leaves no room for one")
        size = sum(len(piece.data) for piece in self.missing)
        if not self.missing:
            found.append(f"{firmware.name} is in flash already")
        elif len(self.missing) < self.total:
            there = self.total - len(self.missing)
            found.append(f"go on with {firmware.name}: {there} of {self.total} pieces are there, {size} bytes to write")
        else:
            found.append(f"write {firmware.name} with esptool, {size} bytes in {self.total} pieces, and check each")
        return found


def look(tool: Esptool, board: Board, release: Release, firmware: Path, wipe: bool) -> Work:
    """Return what there is to do. UserError if the board does not fit, or would lose readings."""
    esp_firmware.check_file(firmware, release)
    chip = tool.identify()
    if chip.name != release.chip:
        raise UserError(f"the board has an {chip.name}, not an {release.chip}: choose the kind of board that fits")
    assert board.flash_bytes is not None
    if chip.flash_bytes < board.flash_bytes:
        raise UserError(
            f"the board has {chip.flash_bytes >> 20} MiB of flash, {board.title} needs {board.flash_bytes >> 20} MiB"
        )
    board, lacks_room = _with_romfs(board, firmware, release)
    romfs_bytes = sum(row.size for row in board.partitions if row.label == ROMFS)
    with tempfile.TemporaryDirectory(prefix="fieldpost-") as work:
        image = esp_firmware.with_ring(firmware, board, release, Path(work)).read_bytes()
    wanted = esp_firmware.pieces(image, release)
    if wipe:
        return Work(chip, wanted, len(wanted), [], True, romfs_bytes, lacks_room)
    now = esp_firmware.parse_table(tool.read(esp_firmware.TABLE_OFFSET, esp_firmware.TABLE_BYTES))
    erase = [
        (board.partition(label).offset, board.partition(label).size)
        for label in _KEEP
        if esp_firmware.moved(now, board.partitions, label)
    ]
    if erase and any(row.label == "queue" for row in now or ()):
        raise UserError(
            "the ring on this board lies in another place than boards/"
            f"{board.name}/board.toml says: its readings would be lost. Let the board deliver them, then use --wipe"
        )
    present = tool.present(wanted)
    missing = [piece for piece, is_there in zip(wanted, present, strict=True) if not is_there]
    return Work(chip, missing, len(wanted), erase, False, romfs_bytes, lacks_room)


def _with_romfs(board: Board, firmware: Path, release: Release) -> tuple[Board, bool]:
    """Return the board with a partition for ROMFS if this firmware mounts one, and whether only room is missing."""
    if board.romfs_bytes is None or not esp_firmware.has_romfs(firmware):
        return board, False
    divided = board.with_romfs()
    if esp_firmware.application_bytes(firmware, release) > divided.partition("factory").size:
        return board, True
    return divided, False


def do(tool: Esptool, work: Work, progress: Progress) -> None:
    """Do it. Run again after a failure, `look` finds what is left. UserError says what to do."""
    if work.erase_all:
        progress("erasing the flash")
        tool.erase_all()
    for offset, size in work.erase:
        progress(f"erasing {size >> 10} KiB at {offset:#x}")
        tool.erase(offset, size)
    if work.missing:
        progress(f"{_STAGE}: {sum(len(piece.data) for piece in work.missing)} bytes")
        tool.write(work.missing, lambda share: progress.share(_STAGE, share))
