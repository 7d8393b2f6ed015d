"""A Debian machine with systemd as its first process (systemd-nspawn), in a root of its own.

Without $FIELDPOST_TEST_DEBIAN the root borrows this machine's /usr, /etc and /var below overlays on a tmpfs: nothing
is fetched, nothing of the host is written, nothing but what Debian starts by itself runs. With it (bookworm, trixie)
debootstrap makes a root, kept in fieldpost's cache, and each machine is a copy. Either shares the host's network, so
that a hub on 127.0.0.1 is its hub too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from host_tools.toolchain import apt_sources, cache

_PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "ca-certificates", "init-system-helpers")
_SUITE = os.environ.get("FIELDPOST_TEST_DEBIAN", "")
_PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
_BORROWED = ("usr", "etc", "var")


def why_not() -> str | None:
    """Return why there can be no such machine here, or None."""
    if os.geteuid() != 0:
        return "systemd-nspawn needs root"
    for program in ("systemd-nspawn", "nsenter", *(["debootstrap"] if _SUITE else ["dpkg-query"])):
        if shutil.which(program) is None:
            return f"{program} is not installed: apt install systemd-container debootstrap util-linux"
    if not _SUITE:
        asked = ["dpkg-query", "--show", "--showformat=${db:Status-Status}\n", *_PACKAGES]
        states = subprocess.run(asked, capture_output=True, text=True).stdout.split()
        if states != ["installed"] * len(_PACKAGES) or not Path("/bin").is_symlink():
            return f"this machine is no Debian with {', '.join(_PACKAGES)}: FIELDPOST_TEST_DEBIAN=bookworm makes one"
    return None


class NoMachine(Exception):
    """systemd-nspawn cannot run here, or overlays cannot be mounted: the message says why."""


class Machine:
    """A running machine; `folder` becomes its /opt/bench. Raises NoMachine."""

    def __init__(self, place: Path, folder: Path) -> None:
        self._root = place
        self._mounts: list[Path] = []
        self._first: int | None = None
        if _SUITE:
            subprocess.run(["cp", "-a", "--reflink=auto", _debootstrapped(), place], check=True)
        else:
            self._borrow(place)
        (place / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
        self._log = open(place.with_suffix(".log"), "wb")  # noqa: SIM115 - closed by stop()
        self._nspawn = subprocess.Popen(
            [
                "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", f"--directory={place}",
                f"--bind={folder}:/opt/bench", "--machine=" + place.name, "--link-journal=no",
            ],
            stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            self._first = self._first_process()
            self.until_true(
                lambda: self.run("systemctl", "is-system-running", check=False).strip() in ("running", "degraded")
            )
            # The machine that lends its root may have been in the middle of an installation.
            self.run("dpkg", "--configure", "-a")
        except (AssertionError, NoMachine):
            self.stop()
            raise

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

    def until_true(self, condition, timeout_s: float = 180) -> None:
        """Wait for something inside; fail with the journal of the service."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(self.run("journalctl", "--no-pager", "-u", "fieldpost", check=False))
            time.sleep(0.1)

    def stop(self) -> None:
        """Pull the plug."""
        if self._first is not None:
            os.kill(self._first, signal.SIGKILL)  # with it goes every other process inside (pid_namespaces(7))
        try:
            self._nspawn.wait(60)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()
        self._log.close()
        self._clear()

    def _clear(self) -> None:
        for place in reversed(self._mounts):
            subprocess.run(["umount", "--lazy", place], check=True)
        subprocess.run(["rm", "-rf", "--one-file-system", self._root], check=True)

    def _borrow(self, place: Path) -> None:
        """Make a root of this machine's own Debian; what is written to it goes to memory."""
        place.mkdir()
        self._mount(place, "tmpfs", "size=512m,mode=755")
        for name in _BORROWED:
            upper, work = place / ".upper" / name, place / ".work" / name
            for folder in (upper, work, place / name):
                folder.mkdir(parents=True)
            self._mount(place / name, "overlay", f"lowerdir=/{name},upperdir={upper},workdir={work}")
        for name in ("bin", "sbin", "lib", "lib64"):
            if Path("/", name).is_symlink():
                (place / name).symlink_to(os.readlink(Path("/", name)))
        for name in ("root", "opt", "tmp"):
            (place / name).mkdir()
        # Only what Debian starts by itself: what the host's administrator enabled or mounts is none of its business.
        for name in ("etc/systemd/system", "etc/fieldpost", "var/lib/fieldpost", "var/log/journal"):
            shutil.rmtree(place / name, ignore_errors=True)
        (place / "etc/systemd/system").mkdir(parents=True)
        (place / "usr/sbin/policy-rc.d").unlink(missing_ok=True)  # in images of containers: no service may start
        for name in ("etc/fstab", "etc/machine-id", "etc/resolv.conf"):
            (place / name).unlink(missing_ok=True)
            (place / name).touch()

    def _mount(self, place: Path, kind: str, options: str) -> None:
        done = subprocess.run(["mount", "-t", kind, "-o", options, kind, place], capture_output=True, text=True)
        if done.returncode:
            self._clear()
            raise NoMachine(done.stderr.strip())
        self._mounts.append(place)

    def _first_process(self) -> int:
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and self._nspawn.poll() is None:
            with contextlib.suppress(OSError):  # whoever has just ended
                for child in children.read_text().split():
                    if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                        return int(child)
            time.sleep(0.1)
        raise NoMachine("systemd-nspawn did not start: " + Path(self._log.name).read_text(errors="replace"))


def _debootstrapped() -> Path:
    """Return the pristine root of a release, made on first use (a minute)."""
    entry = f"debian-root-{_SUITE}-1"
    folder = cache.folder() / entry
    if not folder.exists():
        mirror = next(archive.uri for archive in apt_sources.read() if "/debian" in archive.uri)
        with cache.locked(entry) as folder:
            if not folder.exists():
                with cache.replaced(folder) as work:
                    subprocess.run(
                        ["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", _SUITE, work, mirror],
                        check=True,
                        stdout=subprocess.DEVNULL,
                    )
                    (work / "etc/machine-id").write_text("")
    return folder
