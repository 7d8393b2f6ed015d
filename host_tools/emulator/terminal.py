"""A serial port on which tools meet the board: a pseudo terminal, raw from the start.

The emulator keeps the slave end open, or the master would fail with EIO between two visitors. What the board
prints is dropped when nobody reads it, as on a wire without a listener. Ctrl-C is taken out of the stream: on
a board it is an interrupt, not a byte.
"""

import asyncio
import os
import termios
import tty
from collections.abc import Callable
from pathlib import Path

_READ_BYTES = 4096
_WAITING_BYTES_MAX = 65536
# Without progress for so long nobody reads. A tool that has said something is there; a busy machine may hold it up.
_NOBODY_READS_S = 1.0
_TOOL_READS_S = 15.0
_CTRL_C = b"\x03"


class Terminal:
    """A pty with a stable name; `connect` says who is behind it.

    link: symbolic link to make, removed again by close(). tap: sees every byte that a tool sends first, and
    keeps it from the board by returning True.
    """

    def __init__(self, link: Path, tap: Callable[[bytes], bool] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._tap = tap
        self._on_input: Callable[[bytes], object] = _ignore
        self._on_interrupt: Callable[[], object] = _ignore
        self._on_room: Callable[[], object] = _ignore
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._waiting = bytearray()
        self._give_up: asyncio.TimerHandle | None = None
        self._patience_s = _NOBODY_READS_S
        self.path = os.ttyname(self._slave)
        self._link = link
        link.unlink(missing_ok=True)
        link.symlink_to(self.path)
        self._loop.add_reader(self._master, self._readable)

    def connect(
        self,
        on_input: Callable[[bytes], object],
        on_interrupt: Callable[[], object],
        on_room: Callable[[], object],
    ) -> None:
        """Put a board behind the port, in the place of the one that was there.

        on_input: gets what a tool sent, without Ctrl-C; on_interrupt: called for each run of input that held
        Ctrl-C, before what came after it. on_room: called when `is_full` has become false again.
        """
        self._on_input = on_input
        self._on_interrupt = on_interrupt
        self._on_room = on_room

    def disconnect(self) -> None:
        """Leave nobody behind the port."""
        self.connect(_ignore, _ignore, _ignore)

    def close(self) -> None:
        """Hang up."""
        self._drop()
        self._loop.remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)
        self._link.unlink(missing_ok=True)

    @property
    def is_full(self) -> bool:
        """Whether a slow reader is behind by so much that the board should wait."""
        return len(self._waiting) > _WAITING_BYTES_MAX

    def write(self, data: bytes) -> None:
        """Show output of the board to whoever listens."""
        if self._waiting:
            self._waiting += data
            return
        rest = data[self._write_some(data) :]
        if rest:
            self._waiting += rest
            self._loop.add_writer(self._master, self._writable)
            self._expect_progress()

    def _write_some(self, data: bytes | bytearray) -> int:
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0

    def _writable(self) -> None:
        was_full = self.is_full
        written = self._write_some(self._waiting)
        del self._waiting[:written]
        if not self._waiting:
            self._stop_waiting()
        elif written:
            self._expect_progress()
        if was_full and not self.is_full:
            self._on_room()

    def _expect_progress(self) -> None:
        if self._give_up is not None:
            self._give_up.cancel()
        self._give_up = self._loop.call_later(self._patience_s, self._drop)

    def _drop(self) -> None:
        """Forget what nobody has read, in the terminal too: the next visitor wants to see the board as it is."""
        was_full = self.is_full
        self._patience_s = _NOBODY_READS_S
        self._waiting.clear()
        self._stop_waiting()
        termios.tcflush(self._slave, termios.TCIFLUSH)
        if was_full:
            self._on_room()

    def _stop_waiting(self) -> None:
        self._loop.remove_writer(self._master)
        if self._give_up is not None:
            self._give_up.cancel()
            self._give_up = None

    def _readable(self) -> None:
        try:
            data = os.read(self._master, _READ_BYTES)
        except BlockingIOError:
            return
        self._patience_s = _TOOL_READS_S
        if self._tap is None or not self._tap(data):
            self.deliver(data)

    def deliver(self, data: bytes) -> None:
        """Hand what a tool sent to the board."""
        before, found, after = data.partition(_CTRL_C)
        if before:
            self._on_input(before)
        if found:
            self._on_interrupt()
            after = after.replace(_CTRL_C, b"")
            if after:
                self._on_input(after)


def _ignore(*_: object) -> None:
    """Nobody is behind the port."""
