"""A queue in a file, as careful scripts have one: each reading is a line of it, and durable when `append` returns.

How far it was sent stands in another file, written every ten readings, since each write costs littlefs an erase or so.
"""

import os

_WAITING, _SENT = "waiting", "sent"
_LINES_PER_MARK = 10


class KeptFile:
    """The oldest line that was not sent, and the place behind it."""

    def __init__(self):
        self._sent = self._read_mark()
        self._unmarked = 0
        self._end = self._size()
        self._sent = min(self._sent, self._end)

    def append(self, line):
        with open(_WAITING, "ab") as file:
            file.write(line + b"\n")
        self._end += len(line) + 1

    def oldest(self):
        """Return the oldest line that waits, or None."""
        if self._sent >= self._end:
            return None
        with open(_WAITING, "rb") as file:
            file.seek(self._sent)
            return file.readline()[:-1]

    def forget(self, line):
        """The oldest line has been sent."""
        self._sent += len(line) + 1
        self._unmarked += 1
        if self._sent == self._end and self._unmarked >= _LINES_PER_MARK:
            os.remove(_WAITING)
            self._sent = self._end = 0
        elif self._unmarked < _LINES_PER_MARK:
            return
        self._unmarked = 0
        with open(_SENT, "w") as file:
            file.write(str(self._sent))

    def _read_mark(self):
        try:
            with open(_SENT) as file:
                return int(file.read())
        except (OSError, ValueError):
            return 0

    def _size(self):
        try:
            return os.stat(_WAITING)[6]
        except OSError:
            return 0
