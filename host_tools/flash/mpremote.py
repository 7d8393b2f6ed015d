"""Drives mpremote as its own program, and says in the user's terms why it failed."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from host_tools.errors import UserError

_TIMEOUT_S = 600  # 200 KB over a UART at 115200 baud take a minute
_ATTEMPTS = 4
_MEMORY = 1  # major number of /dev/null and its like (linux/major.h)
_ATTEMPT_PAUSE_S = 2  # an ESP32 that opening the port has just reset is still booting


def check_port(port: str) -> None:
    """Raise UserError if `port` is the path of a device that is absent, no serial port, or closed to this user."""
    if not port:
        raise UserError("--port is empty: give a serial port, such as /dev/ttyACM0, or leave it out")
    if not port.startswith("/"):
        return  # a name that only mpremote understands, such as id:..., socket://... or COM3
    if not Path(port).exists():
        raise UserError(
            f"port {port} does not exist: plug the board in, or give another port with --port "
            "(`mpremote connect list` shows them)"
        )
    kind = Path(port).stat()
    if not stat.S_ISCHR(kind.st_mode) or os.major(kind.st_rdev) == _MEMORY:
        raise UserError(f"{port} is no serial port: `mpremote connect list` shows those that there are")
    if not os.access(port, os.R_OK | os.W_OK):
        raise UserError(
            f"port {port} may not be opened by this user: run `sudo usermod -aG dialout $USER`, log in again"
        )


def run(port: str, commands: Sequence[str], attempts: int = _ATTEMPTS, patience: float = 1.0) -> list[str]:
    """Connect to `port`, carry out `commands`, chained in one session, and return the lines printed.

    A board that does not answer, or whose port is away for its restart, gets another chance. patience: how many
    times longer than for a board it may take. UserError says what to do.
    """
    for attempt in range(1, attempts + 1):
        code, said = _run_once(port, commands, _TIMEOUT_S * patience)
        if code == 0:
            return said.splitlines()
        transient = "could not enter raw repl" in said or "failed to access" in said
        if not transient or attempt == attempts:
            break
        time.sleep(_ATTEMPT_PAUSE_S)
    raise UserError(_explain(port, said))


def _run_once(port: str, commands: Sequence[str], timeout_s: float) -> tuple[int, str]:
    """Return mpremote's exit code and everything it said."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mpremote", "connect", port, *commands],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, f"mpremote was not done after {timeout_s:g} s"
    return done.returncode, done.stdout


def _explain(port: str, said: str) -> str:
    last = said.strip().split("\n")[-1].removeprefix("mpremote: ") or "mpremote did not say why"
    if port.startswith("/") and not Path(port).exists():
        return f"the board on {port} went away: plug it in again and run the same command; it goes on where it stopped"
    if "failed to access" in said:
        return f"port {port} is in use or gone: close the program that has it (a terminal, an IDE), try again"
    if "could not enter raw repl" in said:
        return (
            f"the board on {port} does not answer: put MicroPython on it if it has none, "
            "else press its reset button and try again"
        )
    if "ENOSPC" in said or "Errno 28" in said:
        return f"the board on {port} has no room left: remove files of yours with `mpremote connect {port} rm`"
    return f"flashing the board on {port} failed: {last}. What was copied so far does no harm; try again"
