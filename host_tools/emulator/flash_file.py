"""The flash of an emulated board: an image file with a part's behaviour, and its wear in a file beside it.

    flash.bin    every byte of the chip; what is not in a region reads as zeros, being the firmware
    flash.json   which board the image belongs to, and counters that outlive the supervisor

The image is mapped into memory: what the board has programmed is in the file even if the supervisor dies. The board's
process maps it too. While nothing is to happen that only this side knows how to do (a cut, bits gone weak) it programs
and erases by itself, and counts in memory that both sides share, u32 each:

     0  the board may do so        4  programs        8  bytes programmed        12  erases        64  erases by sector
"""

import contextlib
import fcntl
import json
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from host_tools.emulator.nor_flash import NorFlash
from host_tools.emulator.shape import BoardShape, Partition
from host_tools.errors import UserError

IMAGE = "flash.bin"
_SIDECAR = "flash.json"
_FORMAT = "fieldpost flash 1"
_SECTOR_BYTES = 4096
_COUNTERS = ("reads", "programs", "bytes_programmed", "erases", "violations")
# Places in the shared memory, in words.
_IS_DIRECT = 0
_PROGRAMS = 1
_BYTES_PROGRAMMED = 2
_ERASES = 3
_SECTORS = 16
_COUNT_MAX = 0xFFFFFFFF


def wear_words(shape: BoardShape) -> int:
    """Return how many words of shared memory the flash of such a board needs."""
    return _SECTORS + shape.flash_bytes // _SECTOR_BYTES


class _Counter:
    """An attribute of a FlashFile that lies in its shared memory."""

    def __init__(self, place: int) -> None:
        self._place = place

    def __get__(self, flash: "FlashFile", owner: type) -> int:
        return int(flash.wear[self._place])

    def __set__(self, flash: "FlashFile", value: int) -> None:
        flash.wear[self._place] = value & _COUNT_MAX


class FlashFile(NorFlash):
    """A NorFlash over an image file.

    Opens the image in `directory`, or makes an erased one if there is neither image nor sidecar. UserError,
    with both files untouched, if they do not belong together or to `shape`, or if another board uses them.
    wear: words that the board's process shares, see `wear_words`; without them it has none.
    """

    programs = _Counter(_PROGRAMS)
    bytes_programmed = _Counter(_BYTES_PROGRAMMED)
    erases = _Counter(_ERASES)

    def __init__(self, directory: Path, shape: BoardShape, seed: int, wear: memoryview | None = None) -> None:
        self.wear = memoryview(bytearray(4 * wear_words(shape))).cast("I") if wear is None else wear
        self.path = directory / IMAGE
        self._sidecar = directory / _SIDECAR
        self._geometry = _geometry(shape)
        directory.mkdir(parents=True, exist_ok=True)
        state = self._read_sidecar()
        if state is None:
            self._create(shape.partitions)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise UserError(
                f"{self.path} is in use by another emulated board: stop it, or choose another name"
            ) from None
        memory = mmap.mmap(self._fd, shape.flash_bytes)
        super().__init__(memory, strict=False, seed=seed)
        self.sector_erases = self.wear[_SECTORS:]
        if state is None:
            self.save()
        else:
            self._restore(state)

    def cut_at(self, operation: int, after_bytes: int = -1, scattered: bool = False) -> None:
        super().cut_at(operation, after_bytes, scattered)
        self._share()

    def cut_off(self) -> None:
        super().cut_off()
        self._share()

    def power_up(self) -> None:
        super().power_up()
        self._share()

    def erase(self, sector: int) -> None:
        try:
            super().erase(sector)
        finally:
            self._share()

    def program(self, offset: int, data: bytes) -> None:
        try:
            super().program(offset, data)
        finally:
            self._share()

    def _share(self) -> None:
        """Say whether the board may do by itself what it wants of its flash."""
        self.wear[_IS_DIRECT] = self._powered and self._cut_in < 0 and not self.has_weak_sectors

    @property
    def image(self) -> bytes:
        """A copy of the whole chip."""
        return bytes(self.memory[:])

    def save(self) -> None:
        """Write the counters down; replaced whole, so a dying host leaves the old ones."""
        state = {
            "format": _FORMAT,
            **self._geometry,
            "counters": {name: getattr(self, name) for name in _COUNTERS},
            # Only sectors that were ever erased: a chip has hundreds.
            "sector_erases": {str(n): count for n, count in enumerate(self.sector_erases) if count},
            "weak_sectors": {str(n): mark for n, mark in self._weak.items()},
        }
        partial = self._sidecar.with_suffix(".partial")
        partial.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
        partial.replace(self._sidecar)

    def close(self) -> None:
        """Write the counters down and let go of the image."""
        self.save()
        self._let_go_of_wear()
        self.memory.close()
        os.close(self._fd)

    def _let_go_of_wear(self) -> None:
        own = memoryview(bytearray(self.wear)).cast("I")
        self.sector_erases.release()
        self.wear, self.sector_erases = own, own[_SECTORS:]

    def _read_sidecar(self) -> dict[str, Any] | None:
        """Return what the sidecar says, checked against the image; None if both files are absent."""
        try:
            text = self._sidecar.read_text(encoding="utf-8")
            size = self.path.stat().st_size
        except FileNotFoundError:
            present = [path for path in (self.path, self._sidecar) if path.exists()]
            if not present:
                return None
            raise UserError(
                f"{present[0]} lies there without its other half: put the missing file back, or delete "
                f"{self.path.parent} to begin with an empty board"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read the flash image in {self.path.parent}: {error}") from error
        try:
            state = json.loads(text)
            if state["format"] != _FORMAT:
                raise ValueError("it has another format")
            for key, expected in self._geometry.items():
                if state[key] != expected:
                    raise ValueError(f"its {key} is that of another board")
            if size != self._geometry["flash_bytes"]:
                raise ValueError(f"the image has {size} bytes instead of {self._geometry['flash_bytes']}")
            _checked_counters(state)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
            raise UserError(
                f"{self._sidecar} does not describe this board's flash ({reason}): choose another name, or "
                f"delete {self.path.parent} to begin with an empty board"
            ) from error
        return dict(state)

    def _create(self, partitions: Sequence[Partition]) -> None:
        partial = self.path.with_suffix(".partial")
        with open(partial, "wb") as file:
            file.truncate(self._geometry["flash_bytes"])  # the firmware stays a hole
            for row in partitions:
                if row.label != "factory":
                    file.seek(row.offset)
                    file.write(b"\xff" * row.size)
        partial.replace(self.path)

    def _restore(self, state: dict[str, Any]) -> None:
        for name in _COUNTERS:
            setattr(self, name, state["counters"][name])
        for number, count in state["sector_erases"].items():
            self.sector_erases[int(number)] = count
        self._weak = {int(number): mark for number, mark in state["weak_sectors"].items()}


def describe_image(directory: Path, shape: BoardShape) -> None:
    """Say in the sidecar that the image in `directory` is laid out as `shape`; wear is kept if it was already.

    For an image that came there by another way than a FlashFile, such as a boot loader.
    """
    sidecar = directory / _SIDECAR
    geometry = _geometry(shape)
    with contextlib.suppress(FileNotFoundError, ValueError):
        known = json.loads(sidecar.read_text(encoding="utf-8"))
        if {key: known.get(key) for key in geometry} == json.loads(json.dumps(geometry)):
            return
    state = {
        "format": _FORMAT,
        **geometry,
        "counters": dict.fromkeys(_COUNTERS, 0),
        "sector_erases": {},
        "weak_sectors": {},
    }
    sidecar.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")


def _geometry(shape: BoardShape) -> dict[str, Any]:
    return {
        "kind": shape.kind,
        "flash_bytes": shape.flash_bytes,
        "regions": [[row.label, row.offset, row.size] for row in shape.partitions],
    }


def _checked_counters(state: dict[str, Any]) -> None:
    sectors = state["flash_bytes"] // _SECTOR_BYTES
    numbers = [state["counters"][name] for name in _COUNTERS]
    for table in ("sector_erases", "weak_sectors"):
        numbers += state[table].values()
        if not all(0 <= int(number) < sectors for number in state[table]):
            raise ValueError(f"{table} names a sector that the chip does not have")
    if not all(isinstance(number, int) and 0 <= number <= _COUNT_MAX for number in numbers):
        raise ValueError("a counter is no number that it can have come to")
