"""Waits until a freshly flashed board has delivered: at the hub if it can be asked, else by the board's own word.

The board prints how it is doing once a second; where it is stuck is told while one waits.
"""

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import serial

from host_tools.audit import bodies
from host_tools.errors import UserError
from host_tools.flash.progress import Progress
from host_tools.hub import read_messages

TIMEOUT_S = 90.0
_LOOK_S = 0.2
_STATUS = b"status: "
_LINE_BYTES_MAX = 8192

Arrived = Callable[[], str | None]


class HubStore:
    """Looks for readings of one device in a local hub's store, behind those that are there now."""

    def __init__(self, folder: Path, device: str) -> None:
        self._folder = folder
        self._device = device
        self._after = 0
        self._after = max((message.sequence for message in self._messages()), default=0)

    def arrived(self) -> str | None:
        """Return the first new reading in words, None if none has come."""
        for message in self._messages():
            self._after = message.sequence
            with contextlib.suppress(ValueError, KeyError, TypeError):
                for record in bodies.content(message.body)["records"]:
                    if "temperature" in record:
                        return f"reading {record['n']} is at the hub: {record['temperature']} °C"
        return None

    def _messages(self) -> Any:
        return read_messages(self._folder, self._device, self._after)


class Console:
    """The board's serial output, read without disturbing it; keeps the newest status and line."""

    def __init__(self, port: str) -> None:
        self.status: dict[str, Any] = {}
        self.last_line = ""
        self._partial = b""
        # On many boards these lines are wired to reset: both stay as they are.
        self._port = serial.serial_for_url(port, 115200, timeout=0, do_not_open=True)
        with contextlib.suppress(OSError, ValueError):
            self._port.dtr = self._port.rts = False
        self._port.open()

    def close(self) -> None:
        """Let go of the port."""
        self._port.close()

    def look(self) -> bool:
        """Take in what the board printed; return whether the port is still there."""
        try:
            self._partial += self._port.read(_LINE_BYTES_MAX)
        except (OSError, serial.SerialException):
            return False
        *lines, self._partial = self._partial[-_LINE_BYTES_MAX:].split(b"\n")
        for line in lines:
            if line.startswith(_STATUS):
                with contextlib.suppress(ValueError):
                    self.status = json.loads(line[len(_STATUS) :])
            elif line.strip():
                self.last_line = line.decode("utf-8", "replace").strip()
        return True


def wait(port: str, arrived: Arrived | None, progress: Progress, timeout_s: float = TIMEOUT_S) -> str:
    """Return what has arrived, in words. arrived: asks the hub; None if it cannot be asked.

    UserError if nothing comes: it names what the board said last.
    """
    progress("waiting for the first reading at the hub")
    try:
        console = Console(port)
    except (OSError, serial.SerialException) as error:
        raise UserError(f"the board is flashed, but its port {port} cannot be watched: {error}") from error
    told = None
    deadline_s = time.monotonic() + timeout_s
    try:
        while time.monotonic() < deadline_s:
            is_there = console.look()
            found = arrived() if arrived is not None else _by_its_own_word(console.status)
            if found is not None:
                return found
            state = console.status.get("state")
            if state is not None and state != told:
                told = state
                progress(f"the board is {state}")
            time.sleep(_LOOK_S)
            if not is_there:
                console = _reopened(console, port)
    finally:
        console.close()
    raise UserError(_explain(console, timeout_s))


def _by_its_own_word(status: dict[str, Any]) -> str | None:
    """Return what the hub has acknowledged to the board, by the board's own status."""
    acked = status.get("acked")
    reading = status.get("reading")
    if not isinstance(acked, int) or acked < 1 or not isinstance(reading, dict):
        return None
    return f"the hub has acknowledged {acked} records; the last reading is {reading.get('temperature')} °C"


def _reopened(console: Console, port: str) -> Console:
    # A chip with USB of its own takes its port away for the restart.
    with contextlib.suppress(OSError, serial.SerialException):
        fresh = Console(port)
        console.close()
        return fresh
    return console


def _explain(console: Console, timeout_s: float) -> str:
    status = console.status
    if not status:
        last = console.last_line or "nothing"
        return f"the board is flashed, but says nothing of itself within {timeout_s:g} s; it printed last: {last}"
    error = status.get("error") or "no error"
    return (
        f"the board is flashed and runs, but no reading arrived within {timeout_s:g} s: it is {status.get('state')}, "
        f"{status.get('pending')} records wait, {error}. `fieldpost doctor` looks at board, hub and network"
    )
