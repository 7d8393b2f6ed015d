"""The kernel interfaces that Blinka uses on a Raspberry Pi, answered by `hardware` instead of a kernel.

Everything above stays as it is installed: adafruit_bme280, Blinka, Adafruit_PureIO and the Python part of gpiod.
Replaced is what leads into the kernel: `open` and `ioctl` of PureIO's smbus module (linux/i2c-dev.h), the
compiled half of gpiod (linux/gpio.h), and the listing of /dev in which Blinka looks for GPIO controllers.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import socket
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Model: (chip, board) as Adafruit-PlatformDetect names them; GPIO controllers by number, the header's is the one
# that is called pinctrl-*. On a Pi 5 that is the RP1's: gpiochip4 until Raspberry Pi's kernel 6.6.45, then gpiochip0.
MODELS = {
    "3b": ("BCM2XXX", "RASPBERRY_PI_3B", {0: "pinctrl-bcm2835", 1: "raspberrypi-exp-gpio"}),
    "zero-2-w": ("BCM2XXX", "RASPBERRY_PI_ZERO_2_W", {0: "pinctrl-bcm2835", 1: "raspberrypi-exp-gpio"}),
    "4b": ("BCM2XXX", "RASPBERRY_PI_4B", {0: "pinctrl-bcm2711", 1: "raspberrypi-exp-gpio"}),
    "5": ("BCM2XXX", "RASPBERRY_PI_5", {0: "pinctrl-rp1", 10: "gpio-brcmstb@107d508500"}),
    "5-old-kernel": ("BCM2XXX", "RASPBERRY_PI_5", {0: "gpio-brcmstb@107d508500", 4: "pinctrl-rp1"}),
}
_LINES = 54
_I2C_SLAVE = 0x0703
_I2C_RDWR = 0x0707
_I2C_M_RD = 0x0001
_CONSTANTS = (
    "BIAS_AS_IS", "BIAS_DISABLED", "BIAS_PULL_DOWN", "BIAS_PULL_UP", "BIAS_UNKNOWN", "CLOCK_HTE", "CLOCK_MONOTONIC",
    "CLOCK_REALTIME", "DIRECTION_AS_IS", "DIRECTION_INPUT", "DIRECTION_OUTPUT", "DRIVE_OPEN_DRAIN",
    "DRIVE_OPEN_SOURCE", "DRIVE_PUSH_PULL", "EDGE_BOTH", "EDGE_EVENT_TYPE_FALLING", "EDGE_EVENT_TYPE_RISING",
    "EDGE_FALLING", "EDGE_NONE", "EDGE_RISING", "INFO_EVENT_TYPE_LINE_CONFIG_CHANGED",
    "INFO_EVENT_TYPE_LINE_RELEASED", "INFO_EVENT_TYPE_LINE_REQUESTED",
)  # fmt: skip


@contextlib.contextmanager
def short_address(path: str) -> Iterator[str]:
    """Give a short name of a socket: an address holds 107 bytes (unix(7)), a path may be longer."""
    folder, name = os.path.split(path)
    descriptor = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


class Hardware:
    """The connection to the emulated hardware."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with short_address(path) as address:
            self._socket.connect(address)
        self.path = path

    def fileno(self) -> int:
        """Return what `select` waits for."""
        return self._socket.fileno()

    def waiting(self) -> list[dict[str, Any]]:
        """Return what came unasked, without waiting for more."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while data := self._socket.recv(65_536, socket.MSG_DONTWAIT):
                found.append(json.loads(data))
        return found

    def ask(self, **message: Any) -> dict[str, Any]:
        """Return the answer to one message. Raises the OSError that it names."""
        self._socket.send(json.dumps(message).encode())
        answer: dict[str, Any] = json.loads(self._socket.recv(65_536))
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]), message.get("open"))
        return answer


def install(path: str, model: str) -> None:
    """Make this process a Raspberry Pi of that model (see MODELS) whose hardware is served at `path`.

    Must come before the first import of `board`.
    """
    chip, board, controllers = MODELS[model]
    os.environ["BLINKA_FORCECHIP"] = chip
    os.environ["BLINKA_FORCEBOARD"] = board
    hardware = Hardware(path)
    sys.modules["gpiod._ext"] = _gpiod_extension(hardware, controllers)
    _replace_i2c(hardware)
    from adafruit_blinka.microcontroller.generic_linux import raspberry_pi_pin

    _DevFolder.controllers = [Path(f"/dev/gpiochip{number}") for number in controllers]
    raspberry_pi_pin.Path = _DevFolder


class _DevFolder(type(Path())):  # type: ignore[misc] # pathlib picks the concrete class at run time
    """A Path whose listing of /dev shows the GPIO controllers."""

    controllers: list[Path]

    def glob(self, pattern: str, **_: Any) -> Any:
        assert (str(self), pattern) == ("/dev", "gpiochip*")
        return iter(self.controllers)


class _I2cFile(io.RawIOBase):
    """An open /dev/i2c-N; `fileno` is a handle that only `_ioctl` knows."""

    def __init__(self, hardware: Hardware, path: str) -> None:
        hardware.ask(open=path)
        self._hardware = hardware
        self._bus = int(path.rpartition("-")[2])
        self.address = 0

    def fileno(self) -> Any:
        return self

    def read(self, size: int = -1) -> bytes:
        return self.transfer(self.address, None, size)

    def write(self, data: Any) -> int:
        self.transfer(self.address, bytes(data), 0)
        return len(data)

    def transfer(self, address: int, data: bytes | None, length: int) -> bytes:
        answer = self._hardware.ask(
            bus=self._bus, address=address, write=None if data is None else data.hex(), read=length
        )
        return bytes.fromhex(answer["data"])


def _replace_i2c(hardware: Hardware) -> None:
    from Adafruit_PureIO import smbus

    smbus.open = lambda path, mode, buffering: _I2cFile(hardware, path)
    smbus.ioctl = _ioctl


def _ioctl(file: _I2cFile, request: int, argument: Any) -> int:
    if request == _I2C_SLAVE:
        file.address = argument
        return 0
    assert request == _I2C_RDWR, hex(request)
    messages = [argument.msgs[index] for index in range(argument.nmsgs)]
    written = [m for m in messages if not m.flags & _I2C_M_RD]
    wanted = [m for m in messages if m.flags & _I2C_M_RD]
    assert len(written) <= 1 and len(wanted) <= 1 and messages == written + wanted, "a write, a read, or both"
    data = ctypes.string_at(written[0].buf, written[0].len) if written and written[0].len else b""
    address = messages[0].addr
    got = file.transfer(address, data if written else None, wanted[0].len if wanted else 0)
    if wanted:
        ctypes.memmove(wanted[0].buf, got, len(got))
    return len(messages)


def _gpiod_extension(hardware: Hardware, controllers: dict[int, str]) -> types.ModuleType:
    """Return what stands for gpiod/_ext: its interface is gpiod/_ext.pyi."""
    extension: Any = types.ModuleType("gpiod._ext")
    for value, constant in enumerate(_CONSTANTS):
        setattr(extension, constant, value)
    extension.VALUE_INACTIVE, extension.VALUE_ACTIVE = 0, 1
    extension.api_version = "2.2"
    extension.LineSettings = _LineSettings
    extension.LineConfig = _LineConfig
    labels = {f"/dev/gpiochip{number}": label for number, label in controllers.items()}
    extension.Chip = lambda path: _Chip(hardware, labels.get(path, ""), path)
    extension.is_gpiochip_device = lambda path: path in labels
    return extension  # type: ignore[no-any-return]


@dataclass
class _LineSettings:
    direction: int
    edge_detection: int
    bias: int
    drive: int
    active_low: bool
    debounce_period: int
    event_clock: int
    output_value: int


class _LineConfig:
    def __init__(self) -> None:
        self.settings: dict[int, _LineSettings] = {}

    def add_line_settings(self, offsets: list[int], settings: _LineSettings) -> None:
        self.settings.update(dict.fromkeys(offsets, settings))


class _Chip:
    def __init__(self, hardware: Hardware, label: str, path: str) -> None:
        hardware.ask(open=path)
        self._hardware = hardware
        self._label = label
        self.path = path
        self.fd = -1

    def get_info(self) -> Any:
        import gpiod

        return gpiod.ChipInfo(self.path.rpartition("/")[2], self._label, _LINES)

    def get_line_name(self, offset: int) -> str | None:
        return None

    def request_lines(self, config: _LineConfig, consumer: str | None, event_buffer_size: int | None) -> _Request:
        assert self._label.startswith("pinctrl-"), f"{self.path} has no pin of the header"
        request = _Request(self._hardware, list(config.settings))
        request.reconfigure_lines(config)
        return request

    def close(self) -> None:
        pass


class _Request:
    """Lines held by this process. Like the Pi's pin controllers it leaves a released output as it was."""

    chip_name = "gpiochip0"

    def __init__(self, hardware: Hardware, offsets: list[int]) -> None:
        self._hardware = hardware
        self._edges: Hardware | None = None
        self._wanted: tuple[int, ...] = ()
        self.offsets = offsets

    @property
    def fd(self) -> int:
        return -1 if self._edges is None else self._edges.fileno()

    @property
    def num_lines(self) -> int:
        return len(self.offsets)

    def reconfigure_lines(self, config: _LineConfig) -> None:
        from gpiod.line import Direction, Edge

        for offset, settings in config.settings.items():
            if settings.direction != Direction.AS_IS.value:
                is_output = settings.direction == Direction.OUTPUT.value
                self._hardware.ask(gpio=offset, output=is_output, level=int(settings.output_value))
            if settings.edge_detection != Edge.NONE.value:
                self._wanted = {Edge.RISING.value: (1,), Edge.FALLING.value: (0,)}.get(settings.edge_detection, (0, 1))
                self._edges = Hardware(self._hardware.path)
                self._edges.ask(watch=offset)

    def read_edge_events(self, max_events: int | None) -> list[Any]:
        assert self._edges is not None
        return [edge for edge in self._edges.waiting() if edge["level"] in self._wanted]

    def get_values(self, offsets: list[int], values: list[Any]) -> None:
        from gpiod.line import Value

        for index, offset in enumerate(offsets):
            values[index] = Value(self._hardware.ask(gpio=offset)["level"])

    def set_values(self, values: dict[int, Any]) -> None:
        for offset, value in values.items():
            self._hardware.ask(gpio=offset, output=True, level=int(bool(value)))

    def release(self) -> None:
        pass
