"""A Pico W that runs a firmware file, instruction by instruction, with the bench around it.

Shows the same face as `host_tools.emulator.board.EmulatedBoard`, so that a lab and its scenarios take either.

    tools <-- serial port (pty) --> USB console --+
    bme280 <-- i2c wires (controller, or pins) ---+-- rp2040py: chip, Wi-Fi chip
    pins  <---------------------------------------+
    flash <-- mirror in a file -------------------+
    hub   <-- link <-- access point, NAT ---------+

The chip's time passes more slowly than ours while it computes: nothing here proves how long anything takes.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from host_tools.emulator.bme280 import Bme280
from host_tools.emulator.i2c import I2cWires
from host_tools.emulator.link import Link
from host_tools.emulator.rp2040.flash_mirror import FlashMirror
from host_tools.emulator.rp2040.i2c_bus import I2cBus
from host_tools.emulator.rp2040.i2c_pins import I2cPins
from host_tools.emulator.rp2040.pace import Pace
from host_tools.emulator.rp2040.pins import ChipPins
from host_tools.emulator.rp2040.quick import engine_room
from host_tools.emulator.rp2040.usb_console import UsbConsole
from host_tools.emulator.shape import BoardShape
from host_tools.emulator.terminal import Terminal
from host_tools.emulator.watched import Watched
from host_tools.errors import UserError

SSID = "RP2040PY-GUEST"  # of rp2040py's access point, which takes any password
PATIENCE = 200  # how many times longer than a board it may need, on a machine that has other things to do as well
_BOARD = "pico_w"
_FLASH = "flash.bin"
_USB_FILE = "usb.json"
_NANOSECONDS = 1e9
_ENUMERATION_S = 300.0  # under a second alone; a machine that is busy with other things takes longer


class FirmwareBoard(Watched):
    """One board; it is off until `power_on`.

    directory: keeps its flash between runs. firmware: a UF2 file. upstream: (host, port) of the hub, whatever host
    and port the program asks for. report: takes a line when the first `power_on` compiles something (quick.py).
    UserError if the file is no firmware, or the flash in `directory` is not this board's.
    """

    def __init__(
        self,
        directory: Path,
        firmware: Path,
        shape: BoardShape,
        upstream: tuple[str, int],
        seed: int = 0,
        report: Callable[[str], object] = lambda line: None,
    ) -> None:
        super().__init__(directory.name)
        self.directory = directory
        self.shape = shape
        self.boots = 0
        self.power_cuts = 0
        self.heap_peak_bytes = 0  # only the program itself could tell
        self._device: Any = None
        self._past_s = 0.0  # chip time of all runs before this one
        self.bme280 = Bme280(self._now_s)
        self.i2c = I2cWires()
        if shape.bme280_address is not None:
            self.i2c.attach(shape.bme280_address, self.bme280)
        self.pins = ChipPins(shape.inputs)
        self.link = Link(upstream, lambda: None)
        directory.mkdir(parents=True, exist_ok=True)
        self.flash: FlashMirror = FlashMirror(directory / _FLASH, shape.flash_bytes, shape.partition("storage"), seed)
        self._firmware = firmware
        self._report = report
        self._terminal: Terminal | None = None
        self._wifi: Any = None
        self._usb: UsbConsole | None = None
        self._pace: Pace | None = None

    # The power switch

    @property
    def powered(self) -> bool:
        """Whether the board has power."""
        return self._device is not None

    async def power_on(self) -> None:
        """Give power and return when the board is on USB; its program runs then. Nothing happens if it is on.

        TimeoutError if it does not come, with what it printed.
        """
        if self._device is not None:
            return
        if not self.link.port:
            await self.link.start()
        self.serial_port  # noqa: B018 - appears
        device = self._new_device(await asyncio.to_thread(engine_room, self._report))
        self.flash.attach(device.mcu)
        self.pins.attach(device.mcu)
        self.bme280.power_on()
        self._device = device
        self._is_off.clear()
        self.boots += 1
        try:
            await device.astart(_ENUMERATION_S)
        except TimeoutError:
            await self.power_off()
            last = " | ".join(list(self.console)[-5:]) or "nothing"
            raise TimeoutError(f"the firmware did not appear on USB; it printed last: {last}") from None
        except RuntimeError as error:  # it stopped: the power went, or the emulator gave up
            if self._device is device:
                await self.power_off()
                raise UserError(f"the emulated chip stopped: {error}; is {self._firmware} whole?") from error

    async def power_off(self) -> None:
        """Cut the power, now, whatever the board is doing. Nothing happens if it is off."""
        if self._device is not None:
            self._cut_power()
        await asyncio.sleep(0)  # the batch of instructions that was under way has ended

    def cut_power_at(self, flash_operation: int) -> None:
        """Cut the power inside the n-th program or erase from now (1 is the next), which is left half done."""
        if flash_operation < 1:
            raise UserError(f"flash operation {flash_operation}: count from 1")
        self.flash.cut_at(flash_operation - 1, self._cut_power)

    async def close(self) -> None:
        """Switch off and give everything back; the flash stays in its directory."""
        await self.power_off()
        await self.link.stop()
        if self._terminal is not None:
            self._terminal.close()
            (self.directory / _USB_FILE).unlink(missing_ok=True)
        self.flash.close()

    # What can be seen from outside

    @property
    def serial_port(self) -> Path:
        """The board's serial port, a pty; `serial` in its directory is a lasting name for it."""
        if self._terminal is None:
            self._terminal = Terminal(self.directory / "serial")
            self._terminal.connect(self._send, self.interrupt, lambda: None)
            told = {"vid": 0x2E8A, "pid": 0x0005, "serial_number": self.directory.name, "drive": None}
            text = json.dumps({**told, "port": self._terminal.path, "patience": PATIENCE})
            (self.directory / _USB_FILE).write_text(text + "\n", encoding="utf-8")
        return Path(self._terminal.path)

    def interrupt(self) -> None:
        """Press Ctrl-C on the board's console."""
        self._send(b"\x03")

    @property
    def emulated_s(self) -> float:
        """Seconds that have passed for the chip, in all runs."""
        return self._now_s()

    # The chip

    def _new_device(self, room: ModuleType | None) -> Any:
        from rp2040py.boards import BOARDS
        from rp2040py.device.base_device import BaseDevice
        from rp2040py.external.cyw43 import Cyw43439

        from host_tools.emulator.rp2040.wifi import BenchWifi

        spec = BOARDS[_BOARD]
        self._wifi = BenchWifi(("127.0.0.1", self.link.port), room)
        others = tuple(extra for extra in spec.extras if extra is not Cyw43439)
        extras = (*others, lambda: self._wifi, lambda: Wiring(self.i2c, self.shape))
        try:
            device = BaseDevice(board=replace(spec, extras=extras, image=self._firmware))
        except (OSError, ValueError) as error:
            raise UserError(f"{self._firmware} is no UF2 file for a Pico W: {error}") from error
        self._usb = UsbConsole(device, self._output)
        self._pace = Pace(device, room)
        device.mcu.watchdog.on_watchdog_trigger = self._reset(device.mcu.watchdog.on_watchdog_trigger)
        return device

    def _reset(self, reset: Callable[[], object]) -> Callable[[], None]:
        """Return what a reset by the program comes to: the chip's own `reset`, and what the world sees of it."""

        def act() -> None:
            self.boots += 1
            if self._usb is not None:
                self._usb.forget()
            self._wifi.forget_connections()
            self.link.board_lost_power()
            self.pins.release()
            self._console.break_line()
            reset()

        return act

    def _cut_power(self) -> None:
        device, self._device = self._device, None
        self._past_s += device.mcu.clock.nanos / _NANOSECONDS
        if self._usb is not None:
            self._usb.close()
        if self._pace is not None:
            self._pace.end()
        self.flash.detach()
        self.power_cuts += 1
        # Its peer hears nothing of it: there is nobody left to say goodbye.
        self.link.board_lost_power()
        self._wifi.forget_connections()
        self.pins.release()
        self._console.break_line()
        self._is_off.set()

    def _now_s(self) -> float:
        running_s = self._device.mcu.clock.nanos / _NANOSECONDS if self._device is not None else 0.0
        return self._past_s + float(running_s)

    # The serial line

    def _output(self, data: bytes) -> None:
        self._console.feed(data)
        if self._terminal is not None:
            self._terminal.write(data)

    def _send(self, data: bytes) -> None:
        if self._device is not None and self._usb is not None:
            self._usb.send(data)


class Wiring:
    """The sensor's bus, on the controller and on the pins (rp2040py's ExternalDevice)."""

    def __init__(self, wires: I2cWires, shape: BoardShape) -> None:
        self._wires = wires
        self._shape = shape

    def attach(self, chip: Any) -> None:
        """Wire it to the chip."""
        bus = self._shape.i2c
        I2cBus(chip.i2c[bus.id], self._wires)
        scl, sda = chip.gpio[bus.scl], chip.gpio[bus.sda]
        for line in (scl, sda):
            line.set_input_value(True)  # the sensor's board pulls both up
        pins = I2cPins(self._wires, lambda held: sda.set_input_value(not held))
        # LOW is 0; high-impedance counts as high, and nothing drives these lines high.
        scl.add_listener(lambda new, old: pins.scl(int(new != 0)))
        sda.add_listener(lambda new, old: pins.sda(int(new != 0)))
