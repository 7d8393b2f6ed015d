"""The board's serial output as lines, and the status that the agent prints in one of them."""

import json
from collections import deque
from collections.abc import Callable
from typing import Any

_LINES_MAX = 500
_LINE_BYTES_MAX = 4096
_STATUS = "status: "

Status = dict[str, Any]


class Console:
    """Feed it bytes; it keeps the newest lines, oldest first, and the newest status (empty until one came)."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=_LINES_MAX)
        self.status: Status = {}
        self._partial = bytearray()
        self._on_line: list[Callable[[str], object]] = []
        self._on_status: list[Callable[[Status], object]] = []

    def on_line(self, callback: Callable[[str], object]) -> None:
        """Call `callback(line)` for every line, without its end."""
        self._on_line.append(callback)

    def on_status(self, callback: Callable[[Status], object]) -> None:
        """Call `callback(status)` for every status."""
        self._on_status.append(callback)

    def remove(self, callback: Callable[..., object]) -> None:
        """Call `callback` no more."""
        self._on_line = [kept for kept in self._on_line if kept != callback]
        self._on_status = [kept for kept in self._on_status if kept != callback]

    def feed(self, data: bytes) -> None:
        """Take output of the board."""
        self._partial += data
        *lines, self._partial = self._partial.split(b"\n")
        for line in lines:
            self._take(line.decode("utf-8", "replace").rstrip("\r"))
        # A program that never ends its line must not fill the host's memory.
        if len(self._partial) > _LINE_BYTES_MAX:
            self._take(self._partial.decode("utf-8", "replace"))
            self._partial = bytearray()

    def break_line(self) -> None:
        """End the line that a reset or a power cut left unfinished."""
        if self._partial:
            self._take(self._partial.decode("utf-8", "replace"))
            self._partial = bytearray()

    def _take(self, line: str) -> None:
        self.lines.append(line)
        for take_line in list(self._on_line):
            take_line(line)
        if not line.startswith(_STATUS):
            return
        try:
            status = json.loads(line[len(_STATUS) :])
        except ValueError:
            return  # torn by a power cut, or another program's words
        if isinstance(status, dict):
            self.status = status
            for take_status in list(self._on_status):
                take_status(status)
