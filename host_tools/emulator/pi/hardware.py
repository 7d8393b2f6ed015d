"""The world around an emulated Raspberry Pi: buses, what hangs on them, and pins with their edges.

Served on a Unix socket (SOCK_SEQPACKET), so that a service that is killed finds pins and sensor as it left them.
One JSON object is one message and is answered with one:

    {"open": "/dev/i2c-1"}                                        {} or {"errno": 2}
    {"bus": 1, "address": 119, "write": "f4" or null, "read": 8}  {"data": "..."} or {"errno": 121}
    {"gpio": 17, "output": true, "level": 1}                      {"level": 1}
    {"gpio": 22}                                                  {"level": 0}
    {"watch": 22}                                                 {}, then {"level": 1} for every change from outside
"""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import threading
from pathlib import Path
from typing import Any

from host_tools.emulator.i2c import I2cWires, NotAcknowledged
from host_tools.emulator.pi.kernel import short_address
from host_tools.emulator.pins import Pins
from host_tools.emulator.registers import Registers

I2C_DEVICE = "/dev/i2c-1"
GPIO_DEVICE = "/dev/gpiochip0"
_GPIO_PREFIX = "/dev/gpiochip"  # which of them there are, `kernel` knows
_MESSAGE_BYTES_MAX = 65_536
# What the driver of the Pi's controller reports for a missing acknowledgement (linux/i2c-bcm2835.c).
_NO_ACKNOWLEDGEMENT = errno.EREMOTEIO


class PiHardware:
    """Bus 1 and the pins of one Raspberry Pi, served at `path` between `start` and `stop`.

    refused: device path -> errno that opening it meets, e.g. {"/dev/i2c-1": errno.ENOENT} for a bus that is off.
    levels: for each GPIO every level that a program has driven it to, oldest first, repeats included.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wires = I2cWires()
        self.refused: dict[str, int] = {}
        self.levels: dict[int, list[int]] = {}
        self._registers = Registers()
        self.pins = Pins(self._registers)
        self._listener: socket.socket | None = None
        self._connections: list[socket.socket] = []
        self._watching: dict[int, list[socket.socket]] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Listen; each connection is served by a thread of its own."""
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with short_address(str(self.path)) as address:
            self._listener.bind(address)
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def drive(self, gpio: int, level: int) -> None:
        """Drive an input from outside; whoever counts its edges is told of a change."""
        with self._lock:
            is_edge = self.pins[gpio].level != level
            self.pins.drive(gpio, level)
            for connection in self._watching.get(gpio, []) if is_edge else []:
                with contextlib.suppress(OSError):  # its process may have gone
                    connection.send(json.dumps({"level": level}).encode())

    def stop(self) -> None:
        """Close every connection."""
        assert self._listener is not None
        for connection in (self._listener, *self._connections):
            with contextlib.suppress(OSError):  # its process may have gone
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self.path.unlink()
        self._registers.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        while True:
            try:
                message = connection.recv(_MESSAGE_BYTES_MAX)
                if not message:
                    return
                with self._lock:
                    asked = json.loads(message)
                    connection.send(json.dumps(self._answer(asked)).encode())
                    if "watch" in asked:
                        self._watching.setdefault(asked["watch"], []).append(connection)
            except OSError:
                return

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        if "open" in asked:
            number = self.refused.get(asked["open"])
            if number is None and asked["open"] != I2C_DEVICE and not asked["open"].startswith(_GPIO_PREFIX):
                number = errno.ENOENT
            return {} if number is None else {"errno": number}
        if "bus" in asked:
            data = None if asked["write"] is None else bytes.fromhex(asked["write"])
            try:
                return {"data": self.wires.transfer(asked["address"], data, asked["read"]).hex()}
            except NotAcknowledged as error:
                is_absent = error.number == errno.ENODEV
                return {"errno": _NO_ACKNOWLEDGEMENT if is_absent else error.number}
        if "watch" in asked:
            return {}
        gpio = asked["gpio"]
        if "output" in asked:
            self.pins.changed_by_program(gpio, asked["output"], asked["level"])
            if asked["output"]:
                self.levels.setdefault(gpio, []).append(asked["level"])
        return {"level": self.pins[gpio].level}
