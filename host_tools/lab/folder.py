"""Where a lab keeps its things: one private folder for each board name.

$XDG_STATE_HOME/fieldpost/labs/NAME/     0700
    lock           held by the running lab; its text is the process id
    control.sock   where `fieldpost send` and its sisters knock
    hub/           certificates, registry and messages
    board/         flash image
    firmware/      what was built last
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from host_tools.errors import UserError

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


class LabFolder:
    """The folder of one lab. Nothing is made before `claim`."""

    def __init__(self, name: str, state: Path | None = None) -> None:
        if not _NAME.fullmatch(name):
            raise UserError(f"'{name}' cannot be the name of a board: use up to 32 of a-z, 0-9, '-', '_'")
        self.name = name
        self.path = (state or state_folder()) / "labs" / name
        self._lock: int | None = None

    @property
    def hub(self) -> Path:
        """The local hub's folder."""
        return self.path / "hub"

    @property
    def board(self) -> Path:
        """The emulated board's folder."""
        return self.path / "board"

    @property
    def firmware(self) -> Path:
        """Where the firmware is built."""
        return self.path / "firmware"

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self.path / "control.sock"

    @contextmanager
    def socket_address(self) -> Iterator[str]:
        """Give a short name of the control socket: an address holds 107 bytes (unix(7)), a path may be longer.

        Raises FileNotFoundError if the folder does not exist.
        """
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{descriptor}/{self.socket.name}"
        finally:
            os.close(descriptor)

    def claim(self) -> None:
        """Make the folder and hold it until `release`. Raises UserError if another lab holds it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.chmod(0o700)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UserError(f"cannot use the folder {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise UserError(
                f"board '{self.name}' is already running (process {owner}): "
                "end that one with Ctrl-C, or choose another --name"
            ) from None
        os.truncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        self._lock = lock
        self.socket.unlink(missing_ok=True)  # left by a lab that was killed

    def release(self) -> None:
        """Let another lab have the folder."""
        if self._lock is not None:
            self.socket.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None


def state_folder() -> Path:
    """Return where fieldpost keeps state between runs, by the XDG base directory specification."""
    base = os.environ.get("XDG_STATE_HOME", "")
    # The specification has relative paths ignored.
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "state") / "fieldpost"


def lab_names() -> list[str]:
    """Return the names of the labs that left a folder on this machine."""
    folder = state_folder() / "labs"
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
