"""A Debian machine with systemd as its first process: debootstrap and systemd-nspawn.

The root is made once and kept in fieldpost's cache; each machine is a copy of it. It shares the host's network, so
that a hub on 127.0.0.1 is its hub too. $FIELDPOST_TEST_DEBIAN names the release.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from host_tools.toolchain import apt_sources, cache

_PACKAGES = "systemd,systemd-sysv,dbus,python3,ca-certificates,init-system-helpers"
_SUITE = os.environ.get("FIELDPOST_TEST_DEBIAN", "")
_PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"


def why_not() -> str | None:
    """Return why there can be no such machine here, or None."""
    if not _SUITE:
        return "takes two minutes: FIELDPOST_TEST_DEBIAN=bookworm (or trixie) runs it"
    if os.geteuid() != 0:
        return "systemd-nspawn needs root"
    for program in ("systemd-nspawn", "debootstrap", "nsenter"):
        if shutil.which(program) is None:
            return f"{program} is not installed: apt install systemd-container debootstrap util-linux"
    return None


def base() -> Path:
    """Return the pristine root, made on first use (a minute)."""
    entry = f"debian-root-{_SUITE}-1"
    folder = cache.folder() / entry
    if not folder.exists():
        mirror = next(archive.uri for archive in apt_sources.read() if "/debian" in archive.uri)
        with cache.locked(entry) as folder:
            if not folder.exists():
                with cache.replaced(folder) as work:
                    subprocess.run(
                        ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, work, mirror],
                        check=True,
                        stdout=subprocess.DEVNULL,
                    )
                    (work / "etc/machine-id").write_text("")
    return folder


class Machine:
    """A running machine; `folder` becomes its /opt/bench."""

    def __init__(self, place: Path, folder: Path) -> None:
        self._root = place
        subprocess.run(["cp", "-a", "--reflink=auto", base(), place], check=True)
        (place / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
        self._log = open(place.with_suffix(".log"), "wb")  # noqa: SIM115 - closed by stop()
        self._nspawn = subprocess.Popen(
            [
                "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", f"--directory={place}",
                f"--bind={folder}:/opt/bench", "--machine=" + place.name,
            ],
            stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self._first = self._first_process()
        self.until_true(
            lambda: self.run("systemctl", "is-system-running", check=False).strip() in ("running", "degraded")
        )

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command inside as root; return what it printed."""
        found = subprocess.run(
            ["nsenter", f"--target={self._first}", "--all", "--", "env", "-i", _PATH, *command],
            capture_output=True,
            text=True,
        )
        assert not check or found.returncode == 0, f"{command}: {found.stdout}{found.stderr}"
        return found.stdout + ("" if check else found.stderr)

    def show(self, name: str) -> str:
        """Return a property of the service."""
        return self.run("systemctl", "show", "fieldpost.service", "--value", f"--property={name}").strip()

    def until_true(self, condition, timeout_s: float = 60) -> None:
        """Wait for something inside; fail with the journal of the service."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(self.run("journalctl", "--no-pager", "-u", "fieldpost", check=False))
            time.sleep(0.1)

    def stop(self) -> None:
        """Pull the plug."""
        os.kill(self._first, signal.SIGKILL)
        try:
            self._nspawn.wait(20)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()
        self._log.close()
        subprocess.run(["rm", "-rf", "--one-file-system", self._root], check=True)

    def _first_process(self) -> int:
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for child in children.read_text().split():
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return int(child)
            time.sleep(0.1)
        raise AssertionError("systemd-nspawn did not start: " + Path(self._log.name).read_text(errors="replace"))
