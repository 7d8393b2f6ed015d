"""What unpacked boards have in common: a cable that carries power, a flash image, and changes of what runs.

A change, from boot loader to program or back, takes a moment; they happen one after the other, and what tools
send meanwhile waits.
"""

import asyncio
import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from host_tools.emulator.bare.chip_image import ChipImage
from host_tools.emulator.board import EmulatedBoard
from host_tools.emulator.flash_file import describe_image
from host_tools.emulator.shape import BoardShape
from host_tools.emulator.terminal import Terminal
from host_tools.errors import UserError

USB_FILE = "usb.json"


class BareBoard(ABC):
    """One board; it has no power before `plug_in`.

    directory: keeps its flash image, `serial`, a lasting name of its port, and usb.json, what USB would tell of
    it. shape: what it is made of. upstream: (host, port) of the hub that it will reach.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        shape: BoardShape,
        micropython: Path,
        upstream: tuple[str, int],
        seed: int = 0,
    ) -> None:
        self.directory = directory
        self.name = name
        self.board: EmulatedBoard | None = None
        self.is_powered = False
        self._shape = shape
        self._micropython = micropython
        self._upstream = upstream
        self._seed = seed
        self._image = ChipImage(directory, shape.flash_bytes)
        self._terminal: Terminal | None = None
        self._change: asyncio.Task[None] | None = None
        self._held = bytearray()
        self._cable_bytes_left: int | None = None
        self._on_line: Callable[[str], object] | None = None

    @property
    def serial_port(self) -> Path:
        """The port, a pty that is new each time it appears; `serial` in the directory is a lasting name for it."""
        assert self._terminal is not None, "it has no port now"
        return Path(self._terminal.path)

    @property
    def state(self) -> str:
        """What can be met: "off", "loader", "running" or "dead" (nothing that can be booted)."""
        if not self.is_powered:
            return "off"
        if self._is_loading:
            return "loader"
        return "running" if self.board is not None else "dead"

    @property
    def place(self) -> str:
        """Where tools meet it now: its drive or its serial port."""
        told = self._usb()
        return str(told["drive"] or told["port"] or "no port")

    def on_line(self, callback: Callable[[str], object]) -> None:
        """Call `callback(line)` for every line that the program prints."""
        self._on_line = callback

    async def plug_in(self) -> None:
        """Connect the cable: the board has power and starts. UserError if the folder is another kind of board's."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._check_kind()
        self.is_powered = True
        self._begin_change(self._start)
        await self.wait_change()

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

    # What each kind does its own way

    @property
    @abstractmethod
    def _is_loading(self) -> bool:
        """Whether the boot loader is there."""

    @abstractmethod
    async def _start(self) -> None:
        """Do what the ROM does at power-on. Nothing happens if the power is gone again."""

    @abstractmethod
    def _dispatch(self, data: bytes) -> bool:
        """See what a tool sends; return whether the program must not see it."""

    @abstractmethod
    def _usb(self) -> dict[str, Any]:
        """Return what USB tells of the board now."""

    # What they share

    def _check_kind(self) -> None:
        """Refuse the flash of a board with another chip: it would be taken for an empty one, and be written over."""
        vendor = self._usb()["vid"]
        with contextlib.suppress(OSError, ValueError, KeyError):
            vendor = json.loads((self.directory / USB_FILE).read_text(encoding="utf-8"))["vid"]
        if vendor != self._usb()["vid"] or not self._image.fits():
            raise UserError(f"{self.directory} holds another kind of board: choose another --name, or delete it")

    def _plug(self) -> Terminal:
        """Return the serial port, which appears if it was not there."""
        if self._terminal is None:
            self._terminal = Terminal(self.directory / "serial", self._take)
        return self._terminal

    def _hang_up(self) -> None:
        if self._terminal is not None:
            self._terminal.close()
            self._terminal = None

    async def _run(self, shape: BoardShape) -> None:
        """Start the program."""
        self._image.close()
        describe_image(self.directory, shape)
        self.board = EmulatedBoard(
            self.directory, self.name, shape, self._micropython, self._upstream, self._seed, self._plug()
        )
        self.board.on_bootloader(self._bootloader_asked)
        if self._on_line is not None:
            self.board.on_line(self._on_line)
        await self.board.power_on()

    async def _end(self) -> None:
        """Take the power from whatever runs."""
        self._image.close()
        board, self.board = self.board, None
        if board is not None:
            await board.close()

    @abstractmethod
    async def _enter_loader(self) -> None:
        """End the program and begin the boot loader."""

    def _bootloader_asked(self) -> None:
        self._begin_change(self._enter_loader)

    async def _restart(self) -> None:
        await self._end()
        await self._start()

    def _lose_cable(self) -> None:
        self.is_powered = False
        self._cable_bytes_left = None
        self._held.clear()
        self._hang_up()
        self._begin_change(self._end)

    def _take(self, data: bytes) -> bool:
        if self._cable_bytes_left is not None:
            if len(data) >= self._cable_bytes_left:
                data = data[: self._cable_bytes_left]
                self._hold_or_dispatch(data)
                self._lose_cable()
                return True
            self._cable_bytes_left -= len(data)
        return self._hold_or_dispatch(data)

    def _hold_or_dispatch(self, data: bytes) -> bool:
        if self._change is not None:
            self._held += data
            return True
        return self._dispatch(data)

    def _begin_change(self, change: Callable[[], Awaitable[None]]) -> None:
        """Do `change` after the one that is under way; what tools send meanwhile waits."""
        before = self._change

        async def act() -> None:
            if before is not None:
                await asyncio.wait([before])
            await change()
            if self.directory.is_dir():
                (self.directory / USB_FILE).write_text(json.dumps(self._usb()) + "\n")
            if self._change is task:
                self._change = None
                self._deliver_held()

        task = self._change = asyncio.get_running_loop().create_task(act())

    def _deliver_held(self) -> None:
        held, self._held = bytes(self._held), bytearray()
        if held and self._terminal is not None and not self._hold_or_dispatch(held):
            self._terminal.deliver(held)
