"""Runs other programs, quietly, and keeps what they said for the case that they fail."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class ProgramFailed(Exception):
    """A program was not found, took too long or ended badly; `reason` is the last useful line it printed."""

    def __init__(self, program: str, reason: str) -> None:
        super().__init__(f"{program}: {reason}")
        self.reason = reason


def run(
    command: Sequence[str | Path],
    timeout_s: float,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run `command` without a terminal and return what it printed. ProgramFailed unless it exits with 0."""
    program = Path(command[0]).name
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env=env,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProgramFailed(program, f"not done after {timeout_s:g} s") from None
    except OSError as error:
        raise ProgramFailed(program, error.strerror or str(error)) from error
    if done.returncode != 0:
        reason = _last_line(done.stderr) or _last_line(done.stdout) or f"exit {done.returncode}"
        raise ProgramFailed(program, reason)
    return done.stdout


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # apt ends with warnings; its errors say more.
    errors = [line for line in lines if line.startswith("E: ")]
    return (errors or lines or [""])[-1]
