"""Runs a Pico W's firmware file on rp2040py: flash, pins, the BME280 on its bus, a serial port, a network.

rp2040py (MIT licence) is an optional extra. Its flash completes every operation at once and its one core runs much
slower than a real one, so this engine proves what the firmware does, not how long it takes.
"""

import asyncio
import contextlib
import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from host_tools.emulator.bme280 import Bme280
from host_tools.emulator.i2c import I2cWires
from host_tools.emulator.rp2040.i2c_bus import I2cBus
from host_tools.emulator.shape import BoardShape
from host_tools.errors import UserError

_BOARD = "pico_w"
_FLASH = "flash.bin"
_SSID = "RP2040PY-GUEST"
_NANOSECONDS = 1e9


def check_engine() -> None:
    """Raise UserError if rp2040py is not installed."""
    if importlib.util.find_spec("rp2040py") is None:
        raise UserError("the engine rp2040 is not installed: `pip install rp2040py`, or install fieldpost[rp2040]")


async def run(
    directory: Path,
    firmware: Path,
    shape: BoardShape,
    upstream: tuple[str, int],
    stopped: asyncio.Event,
    report: Callable[[str], object],
    on_pin: Callable[[int, int], object] | None = None,
) -> None:
    """Boot `firmware` and keep it running until `stopped`; the flash is kept in `directory` between runs.

    upstream: (host, port) where every TCP connection of the board goes. report: takes a line when the port is there.
    on_pin: called with GPIO and level for every change. UserError if the file is no firmware.
    """
    check_engine()
    from rp2040py.boards import BOARDS
    from rp2040py.cli.pty_repl import PtyInteractiveRepl
    from rp2040py.device import MicroPythonDevice
    from rp2040py.external.cyw43 import Cyw43439

    from host_tools.emulator.rp2040.wifi import BenchWifi

    directory.mkdir(parents=True, exist_ok=True)
    spec = BOARDS[_BOARD]
    others = tuple(extra for extra in spec.extras if extra is not Cyw43439)
    extras = (*others, lambda: BenchWifi(upstream), lambda: Bench(shape, on_pin))
    try:
        device = MicroPythonDevice(board=replace(spec, extras=extras, image=firmware))
    except (OSError, ValueError) as error:
        raise UserError(f"{firmware} is no UF2 file for a Pico W: {error}") from error
    kept = directory / _FLASH
    if kept.exists():
        _restore_files(device.mcu, kept.read_bytes(), shape)
    link = directory / "serial"
    try:
        await device.astart()
        console = PtyInteractiveRepl(device.cdc, device.simulator, on_quit=lambda code: stopped.set())
        await console.start()
        link.unlink(missing_ok=True)
        link.symlink_to(str(console.slave_path))
        _tell_usb(directory, str(console.slave_path))
        report(f"ready: running in {directory}; network '{_SSID}', any password")
        await stopped.wait()
        await console.stop()
    finally:
        device.stop()
        kept.write_bytes(bytes(device.mcu.flash[: shape.flash_bytes]))
        for path in (link, directory / "usb.json"):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


class Bench:
    """What surrounds the chip (rp2040py's ExternalDevice): the sensor, and an eye on the pins."""

    def __init__(self, shape: BoardShape, on_pin: Callable[[int, int], object] | None) -> None:
        self._shape = shape
        self._on_pin = on_pin

    def attach(self, rp2040: Any) -> None:
        """Wire it to the chip."""
        wires = I2cWires()
        if self._shape.bme280_address is not None:
            # The sensor lives in the chip's time, which passes more slowly than ours.
            wires.attach(self._shape.bme280_address, Bme280(lambda: rp2040.clock.nanos / _NANOSECONDS))
        I2cBus(rp2040.i2c[self._shape.i2c.id], wires)
        if self._on_pin is not None:
            for number in range(len(rp2040.gpio)):
                rp2040.gpio[number].add_listener(self._pin_listener(number, self._on_pin))

    def _pin_listener(self, number: int, on_pin: Callable[[int, int], object]) -> Callable[[Any, Any], object]:
        from rp2040py.gpio_pin import GPIOPinState

        return lambda new, old: (
            on_pin(number, int(new == GPIOPinState.HIGH)) if new in (GPIOPinState.HIGH, GPIOPinState.LOW) else None
        )


def _restore_files(chip: Any, image: bytes, shape: BoardShape) -> None:
    """Put back what the board had stored; the firmware is that of the file."""
    row = shape.partition("storage")
    if len(image) == shape.flash_bytes:
        chip.flash[row.offset : row.offset + row.size] = image[row.offset : row.offset + row.size]


def _tell_usb(directory: Path, port: str) -> None:
    told = {"vid": 0x2E8A, "pid": 0x0005, "serial_number": directory.name, "port": port, "drive": None}
    (directory / "usb.json").write_text(json.dumps(told) + "\n", encoding="utf-8")
