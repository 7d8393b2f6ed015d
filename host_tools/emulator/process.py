"""One run of a board's interpreter: a MicroPython process, its message socket, and how it ended."""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import resource
import signal
import socket
import struct
import termios
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_MESSAGE_BYTES_MAX = 1024
_MESSAGES_AT_ONCE = 16  # then other boards have their turn
_BACKGROUND_NICE = 10


_ADDR_NO_RANDOMIZE = 0x0040000  # sys/personality.h
_ASK = 0xFFFFFFFF
_libc = ctypes.CDLL(None)


@contextlib.contextmanager
def _fixed_addresses() -> Iterator[None]:
    """Let what is started meanwhile find its heap at the same address every time, as on a chip, if the system lets us.

    Where it does not, a board writes more of its flash when it starts.
    """
    before = _libc.personality(_ASK)
    if before != -1:
        _libc.personality(before | _ADDR_NO_RANDOMIZE)
    try:
        yield
    finally:
        if before != -1:
            _libc.personality(before)


class ChipProcess:
    """Starts at once. Dies with the supervisor, whatever it is doing (PR_SET_PDEATHSIG, in `chip/_wire.py`).

    options: of the interpreter, e.g. -X heapsize=...; it runs the module _start from the folder `modules`, with
    the numbers of its message socket and of page_fd as arguments. stdio_fd: becomes stdin, stdout and stderr.
    on_message: gets each message and returns the answer to send, or None.
    on_exit: called once, after the last message. is_background: it waits while others want a processor, as long as a
    thousand of its kind would otherwise keep the supervisor and the hub from theirs.
    """

    def __init__(
        self,
        program: Path,
        options: Sequence[str],
        modules: Path,
        stdio_fd: int,
        page_fd: int,
        on_message: Callable[[bytes], bytes | None],
        on_exit: Callable[["ChipProcess"], object],
        is_background: bool = False,
    ) -> None:
        self.cpu_s = 0.0
        self.status: int | None = None
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._on_exit = on_exit
        self._exited = asyncio.Event()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        theirs.setblocking(False)  # belongs to the open socket, so the interpreter inherits it
        self._loop.add_reader(self._socket.fileno(), self._readable)
        with theirs, _fixed_addresses():
            self.pid = os.posix_spawn(
                program,
                # Not -m: the interpreter handles Ctrl-C only for -c and for files.
                [program.name, *options, "-c", "import _start", str(theirs.fileno()), str(page_fd)],
                _environment(modules),
                file_actions=[
                    *((os.POSIX_SPAWN_DUP2, stdio_fd, number) for number in (0, 1, 2)),
                    # Onto itself: that is how posix_spawn lets a descriptor through.
                    *((os.POSIX_SPAWN_DUP2, fd, fd) for fd in (theirs.fileno(), page_fd)),
                ],
                setpgroup=0,  # Ctrl-C in the supervisor's terminal is not for the board
            )
        if is_background:
            os.setpriority(os.PRIO_PROCESS, self.pid, _BACKGROUND_NICE)
            os.sched_setscheduler(self.pid, os.SCHED_BATCH, os.sched_param(0))
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.add_reader(self._pidfd, self._ended)

    @property
    def is_running(self) -> bool:
        return self.status is None

    def kill(self) -> None:
        """End it now; nothing in it can prevent or notice that."""
        if self.is_running:
            os.kill(self.pid, signal.SIGKILL)

    async def wait(self) -> None:
        """Return when it has ended and `on_exit` was called."""
        await self._exited.wait()

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the program where it next waits, or asks for the time."""
        if self.is_running:
            os.kill(self.pid, signal.SIGINT)

    def live_cpu_s(self) -> float:
        """CPU seconds of this process so far."""
        if not self.is_running:
            return self.cpu_s
        return schedule(self.pid)[0]

    def starved_s(self) -> float:
        """Seconds in which this process could have run and the machine had no processor for it."""
        return schedule(self.pid)[1] if self.is_running else 0.0

    def catch_up(self) -> None:
        """Handle the messages that have arrived by now, and no later ones.

        What the program says on its other wires can overtake its messages: whoever passes that on calls this
        first, so that nobody outside sees the word before the deed.
        """
        if self.is_running:
            left = struct.unpack("i", fcntl.ioctl(self._socket, termios.FIONREAD, bytes(4)))[0]
            while left > 0 and (length := self._handle_one()):
                left -= length

    def _readable(self) -> None:
        for _ in range(_MESSAGES_AT_ONCE):
            if not self._handle_one():
                return

    def _handle_one(self) -> int:
        """Handle the next message, if one is there; return its length."""
        try:
            message = self._socket.recv(_MESSAGE_BYTES_MAX)
        except (BlockingIOError, ConnectionResetError):
            return 0
        if not message:
            self._loop.remove_reader(self._socket.fileno())
            return 0
        answer = self._on_message(message)
        if answer is not None:
            # It may have been killed, or have died, while it waited for the answer.
            with contextlib.suppress(OSError):
                self._socket.send(answer)
        return len(message)

    def _ended(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        _, self.status, usage = os.wait4(self.pid, 0)
        self.cpu_s = _cpu_s(usage)
        self._read_rest()
        self._on_exit(self)
        self._exited.set()

    def _read_rest(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        with self._socket, contextlib.suppress(OSError):
            while message := self._socket.recv(_MESSAGE_BYTES_MAX):
                self._on_message(message)


def schedule(pid: int) -> tuple[float, float]:
    """Return the seconds in which process `pid` ran and those in which it waited for a processor; zeros if it ended.

    Of its main thread, which is all that an interpreter has (Linux, Documentation/scheduler/sched-stats.rst).
    """
    try:
        ran_ns, waited_ns, _ = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
    except OSError:
        return 0.0, 0.0
    return int(ran_ns) / 1e9, int(waited_ns) / 1e9


def stolen_s() -> float:
    """Return the seconds that the host of a virtual machine took from its processors, added up; 0 on others.

    No process is told of it: one that was running counts them as its own (proc(5), /proc/stat, "steal").
    """
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0].split()
    except OSError:
        return 0.0
    return int(fields[8]) / os.sysconf("SC_CLK_TCK") if len(fields) > 8 else 0.0


def _cpu_s(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def _environment(modules: Path) -> dict[str, str]:
    """Return what the interpreter needs; a board does not know the environment of its bench."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "MICROPYPATH": f"{modules}:.frozen"}
