"""The flash of an emulated board: an image file with a part's behaviour, and its wear in a file beside it.

    flash.bin    every byte of the chip; what is not in a region reads as zeros, being the firmware
    flash.json   which board the image belongs to, and counters that outlive the supervisor

The image is mapped into memory: what the board has programmed is in the file even if the supervisor dies.
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


class FlashFile(NorFlash):
    """A NorFlash over an image file.

    Opens the image in `directory`, or makes an erased one if there is neither image nor sidecar. UserError,
    with both files untouched, if they do not belong together or to `shape`, or if another board uses them.
    """

    def __init__(self, directory: Path, shape: BoardShape, seed: int) -> None:
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
        if state is None:
            self.save()
        else:
            self._restore(state)

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
        self.memory.close()
        os.close(self._fd)

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
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise ValueError("a counter is no number")
