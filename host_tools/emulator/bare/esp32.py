"""An ESP32 as it comes out of its bag: on one serial port, its boot loader or what was flashed.

        tools <-> serial port (pty) --+-- RomLoader --- flash image
                                      +-- EmulatedBoard (MicroPython), if the image can be booted

A first SYNC brings the loader, Ctrl-C or the host's FLASH_END the program: on a real board the lines DTR and
RTS do that, which a pseudo terminal does not have.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from host_tools.emulator.bare.chip_image import ChipImage
from host_tools.emulator.bare.esp_image import NotBootable, boot
from host_tools.emulator.board import EmulatedBoard
from host_tools.emulator.flash_file import describe_image
from host_tools.emulator.rom_loader import Chip, RomLoader
from host_tools.emulator.shape import BoardShape
from host_tools.emulator.terminal import Terminal

_CTRL_C = 0x03
_FRAME_DEADLINE_S = 3.0  # a host that was stopped in the middle of a frame does not end it
_SYNC_TAIL_BYTES = 4  # a SYNC may arrive in two pieces


class BareEsp32:
    """One board; it has no power before `power_on`.

    directory: keeps its flash image, and `serial`, a lasting name of its port. shape: what it is made of; the
    partitions are those of the table that is flashed. upstream: (host, port) of the hub that it will reach.
    """

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
        self.directory = directory
        self.name = name
        self.chip = chip
        self.mac = b"\x24\x0a\xc4" + hashlib.sha256(name.encode()).digest()[:3]
        self.board: EmulatedBoard | None = None
        self.loader: RomLoader | None = None
        self.is_powered = False
        self.bytes_received = 0
        self._shape = shape
        self._micropython = micropython
        self._upstream = upstream
        self._seed = seed
        self._image = ChipImage(directory, shape.flash_bytes)
        self._terminal: Terminal | None = None
        self._change: asyncio.Task[None] | None = None
        self._held = bytearray()
        self._tail = b""
        self._frame_timer: asyncio.TimerHandle | None = None
        self._cable_bytes_left: int | None = None
        self._on_line: Callable[[str], object] | None = None

    @property
    def serial_port(self) -> Path:
        """The port, a pty that is new after each `plug_in`; `serial` in the directory is a lasting name for it."""
        assert self._terminal is not None, "it is not plugged in"
        return Path(self._terminal.path)

    @property
    def state(self) -> str:
        """What is behind the port: "off", "loader", "running" or "dead" (nothing that can be booted)."""
        if not self.is_powered:
            return "off"
        if self.loader is not None:
            return "loader"
        return "running" if self.board is not None else "dead"

    def on_line(self, callback: Callable[[str], object]) -> None:
        """Call `callback(line)` for every line that the program prints."""
        self._on_line = callback

    async def plug_in(self) -> None:
        """Connect the cable: the board has power and starts."""
        if self._terminal is None:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._terminal = Terminal(self.directory / "serial", self._take)
        self.is_powered = True
        self._cable_bytes_left = None
        await self._start()

    async def unplug(self) -> None:
        """Pull the cable, now: no power, no port."""
        self._lose_cable()
        await self.wait_change()

    def pull_cable_after(self, received: int) -> None:
        """Pull the cable when the host has sent so many more bytes; `state` is "off" then."""
        self._cable_bytes_left = received

    async def wait_change(self) -> None:
        """Return when it is not just changing between loader and program."""
        while self._change is not None:
            await self._change

    async def _start(self) -> None:
        """Run what is in flash, if the chip takes it."""
        if self._terminal is None:
            return  # unplugged meanwhile
        try:
            rows = boot(self._image.read(), self.chip)
        except NotBootable as reason:
            self._terminal.write(f"{reason}\r\n".encode())
            return
        shape = replace(self._shape, partitions=rows)
        describe_image(self.directory, shape)
        self.board = EmulatedBoard(
            self.directory, self.name, shape, self._micropython, self._upstream, self._seed, self._terminal
        )
        if self._on_line is not None:
            self.board.on_line(self._on_line)
        await self.board.power_on()

    async def _end(self) -> None:
        """Take the power from whatever runs."""
        self._stop_frame_timer()
        self.loader = None
        self._image.close()
        board, self.board = self.board, None
        if board is not None:
            await board.close()

    async def _enter_loader(self) -> None:
        await self._end()
        if self.is_powered:
            self.loader = RomLoader(self.chip, self._image.open(self._seed), self.mac, self._restart)

    async def _leave_loader(self) -> None:
        await self._end()
        await self._start()

    def _restart(self) -> None:
        self._begin_change(self._leave_loader)

    def _lose_cable(self) -> None:
        self.is_powered = False
        self._held.clear()
        if self._terminal is not None:
            self._terminal.close()
            self._terminal = None
        self._begin_change(self._end)

    # The port

    def _take(self, data: bytes) -> bool:
        """See what a tool sends; return whether the program must not see it."""
        self.bytes_received += len(data)
        if self._cable_bytes_left is not None:
            if len(data) >= self._cable_bytes_left:
                data = data[: self._cable_bytes_left]
                self._dispatch(data)
                self._lose_cable()
                return True
            self._cable_bytes_left -= len(data)
        return self._dispatch(data)

    def _dispatch(self, data: bytes) -> bool:
        if self._change is not None:
            self._held += data
            return True
        if self.loader is not None:
            self._to_loader(data)
            return True
        seen = self._tail + data
        self._tail = seen[-_SYNC_TAIL_BYTES:]
        if RomLoader.is_wanted(seen):
            self._tail = b""
            self._held += seen
            self._begin_change(self._enter_loader)
            return True
        return False

    def _to_loader(self, data: bytes) -> None:
        assert self.loader is not None and self._terminal is not None
        self._stop_frame_timer()
        self._terminal.write(self.loader.receive(data))
        stray = self.loader.take_stray()
        if _CTRL_C in stray:
            self._held += stray[stray.index(_CTRL_C) :]
            self._begin_change(self._leave_loader)
        elif self.loader.is_inside_frame:
            loop = asyncio.get_running_loop()
            self._frame_timer = loop.call_later(_FRAME_DEADLINE_S, self.loader.forget_frame)

    def _begin_change(self, change: Callable[[], Awaitable[None]]) -> None:
        """Do `change` after the one that is under way; what tools send meanwhile waits."""
        before = self._change

        async def act() -> None:
            if before is not None:
                await asyncio.wait([before])
            await change()
            if self._change is task:
                self._change = None
                self._deliver_held()

        task = self._change = asyncio.get_running_loop().create_task(act())

    def _deliver_held(self) -> None:
        held, self._held = bytes(self._held), bytearray()
        if held and self._terminal is not None and not self._dispatch(held):
            self._terminal.deliver(held)

    def _stop_frame_timer(self) -> None:
        if self._frame_timer is not None:
            self._frame_timer.cancel()
            self._frame_timer = None
