"""An ESP32 as it comes out of its bag: on one serial port, its boot loader or what was flashed.

        tools <-> serial port (pty) --+-- RomLoader --- flash image
                                      +-- EmulatedBoard (MicroPython), if the image can be booted

A first SYNC brings the loader, Ctrl-C or the host's FLASH_END the program: on a real board the lines DTR and
RTS do that, which a pseudo terminal does not have.
"""

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from host_tools.emulator.bare.board import BareBoard
from host_tools.emulator.bare.esp_image import NotBootable, boot
from host_tools.emulator.rom_loader import Chip, RomLoader
from host_tools.emulator.shape import BoardShape

_CTRL_C = 0x03
_FRAME_DEADLINE_S = 3.0  # a host that was stopped in the middle of a frame does not end it
_SYNC_TAIL_BYTES = 4  # a SYNC may arrive in two pieces
_ESPRESSIF_OUI = b"\x24\x0a\xc4"
_BRIDGE = (0x10C4, 0xEA60)  # Silicon Labs CP2102, on most development boards


class BareEsp32(BareBoard):
    """One board of `chip`; its partitions are those of the table that is flashed."""

    def __init__(
        self,
        directory: Path,
        name: str,
        chip: Chip,
        shape: BoardShape,
        micropython: Path,
        upstream: tuple[str, int],
        seed: int = 0,
    ) -> None:
        super().__init__(directory, name, shape, micropython, upstream, seed)
        self.chip = chip
        self.mac = _ESPRESSIF_OUI + hashlib.sha256(name.encode()).digest()[:3]
        self.loader: RomLoader | None = None
        self._tail = b""
        self._frame_timer: asyncio.TimerHandle | None = None

    @property
    def _is_loading(self) -> bool:
        return self.loader is not None

    def _usb(self) -> dict[str, Any]:
        vid, pid = _BRIDGE
        port = str(self._terminal.path) if self._terminal is not None else None
        return {"vid": vid, "pid": pid, "serial_number": self.name, "port": port, "drive": None}

    async def _start(self) -> None:
        if not self.is_powered:
            return
        terminal = self._plug()
        try:
            rows, has_romfs = boot(self._image.read(), self.chip)
        except NotBootable as reason:
            terminal.write(f"{reason}\r\n".encode())
            return
        await self._run(replace(self._shape, partitions=rows, has_romfs=has_romfs))

    async def _end(self) -> None:
        self._stop_frame_timer()
        self.loader = None
        await super()._end()

    async def _enter_loader(self) -> None:
        await self._end()
        if self.is_powered:
            self.loader = RomLoader(
                self.chip, self._image.open(self._seed), self.mac, lambda: self._begin_change(self._restart)
            )

    def _dispatch(self, data: bytes) -> bool:
        if self.loader is not None:
            self._to_loader(self.loader, data)
            return True
        seen = self._tail + data
        self._tail = seen[-_SYNC_TAIL_BYTES:]
        if RomLoader.is_wanted(seen):
            self._tail = b""
            self._held += seen
            self._begin_change(self._enter_loader)
            return True
        return False

    def _to_loader(self, loader: RomLoader, data: bytes) -> None:
        self._stop_frame_timer()
        answer = loader.receive(data)
        if self._terminal is not None:
            self._terminal.write(answer)
        stray = loader.take_stray()
        if _CTRL_C in stray:
            self._held += stray[stray.index(_CTRL_C) :]
            self._begin_change(self._restart)
        elif loader.is_inside_frame:
            loop = asyncio.get_running_loop()
            self._frame_timer = loop.call_later(_FRAME_DEADLINE_S, loader.forget_frame)

    def _stop_frame_timer(self) -> None:
        if self._frame_timer is not None:
            self._frame_timer.cancel()
            self._frame_timer = None
