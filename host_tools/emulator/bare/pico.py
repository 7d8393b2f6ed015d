"""A Pico as it comes out of its bag: the BOOTSEL drive, or what was flashed on a serial port of its own."""

import hashlib
from pathlib import Path
from typing import Any

from host_tools.emulator.bare.board import BareBoard
from host_tools.emulator.bootsel import BootselDrive, RpChip
from host_tools.emulator.shape import BoardShape

_VID = 0x2E8A
_PID_BOOTSEL = {"rp2040": 0x0003, "rp2350": 0x000F}
_PID_MICROPYTHON = 0x0005


class BarePico(BareBoard):
    """One board of `chip`. Its drive is a folder in `directory`, called as the real one is."""

    def __init__(
        self,
        directory: Path,
        name: str,
        chip: RpChip,
        shape: BoardShape,
        micropython: Path,
        upstream: tuple[str, int],
        seed: int = 0,
    ) -> None:
        super().__init__(directory, name, shape, micropython, upstream, seed)
        self.chip = chip
        self.holds_bootsel = False
        self.drive = BootselDrive(directory, chip, lambda: self._begin_change(self._restart))

    def pull_cable_after(self, received: int) -> None:
        """Pull the cable when so many more bytes of a UF2 file, or on the serial port, have come."""
        if self._is_loading:
            self.drive.pull_cable_after(received, self._lose_cable)
        else:
            super().pull_cable_after(received)

    @property
    def _is_loading(self) -> bool:
        return self.drive.path.is_dir()

    def _usb(self) -> dict[str, Any]:
        vid, pid = _VID, _PID_BOOTSEL[self.chip.name] if self._is_loading else _PID_MICROPYTHON
        port = str(self._terminal.path) if self._terminal is not None else None
        drive = str(self.drive.path) if self._is_loading else None
        number = hashlib.sha256(self.name.encode()).hexdigest()[:16]
        return {"vid": vid, "pid": pid, "serial_number": number, "port": port, "drive": drive}

    async def _start(self) -> None:
        if not self.is_powered:
            return
        if self.holds_bootsel or not self.chip.can_boot(self._image.read()):
            self.drive.show(self._image.open(self._seed))
            return
        await self._run(self._shape)

    async def _end(self) -> None:
        self.drive.vanish()
        await super()._end()

    async def _enter_loader(self) -> None:
        await self._end()
        self._hang_up()
        if self.is_powered:
            self.drive.show(self._image.open(self._seed))

    def _dispatch(self, data: bytes) -> bool:
        return False
