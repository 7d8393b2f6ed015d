"""Finds a MicroPython that can be an emulated board, or gets one.

In this order: the one on PATH; the distribution's package, if it is new enough and this user may install it;
else a private copy in the user's cache (see private_prefix.py), which changes nothing on the system.
"""

import os
import platform
import re
import shutil
from pathlib import Path

from host_tools.errors import UserError
from host_tools.toolchain import Report, cache, private_prefix
from host_tools.toolchain.process import ProgramFailed, run

OLDEST_VERSION = (1, 24)
_CHECK_TIMEOUT_S = 60
_INSTALL_TIMEOUT_S = 300
_CACHE_ENTRY = "micropython"
# The distribution's architecture with words of 4 bytes whose programs a machine of this kind runs as well.
_NARROW = {"x86_64": "i386", "aarch64": "armhf"}

# Distributions leave parts out; a version says nothing about that. The last line is what is compared.
_SELF_CHECK = """
import hashlib, select, socket, sys, tls, vfs
vfs.VfsLfs2, hashlib.sha256, select.poll, socket.socket
tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
assert sys.implementation._mpy & 0xFF == 6
print("%d %d" % sys.implementation.version[:2])
"""


def find_or_install(report: Report = print) -> Path:
    """Return a MicroPython >= 1.24 with TLS, littlefs and .mpy version 6. UserError if none can be had.

    Takes milliseconds once it is there. report: told what takes longer.
    """
    on_path = shutil.which("micropython")
    if on_path is not None and is_usable(Path(on_path)):
        return Path(on_path)
    private = cache.folder() / _CACHE_ENTRY / "bin" / "micropython"
    if is_usable(private):
        return private
    packaged = _install_package(report)
    if packaged is not None:
        return packaged
    with cache.locked(_CACHE_ENTRY) as prefix:
        if not is_usable(private):
            with cache.replaced(prefix) as work:
                private_prefix.fill(work, prefix, report)
    if not is_usable(private):
        raise UserError(f"the MicroPython in {prefix} does not run here: put a MicroPython >= 1.24 on PATH")
    report(f"MicroPython is in {prefix}")
    return private


def find_or_install_narrow(report: Report = print) -> Path:
    """Return a MicroPython whose words have 4 bytes, as those of boards: its heap holds what a board's holds.

    UserError if none can be had: the machine is of another kind, or its kernel runs no 32-bit programs.
    """
    architecture = _NARROW.get(platform.machine())
    if architecture is None:
        raise UserError(f"no MicroPython with words of 4 bytes is known for {platform.machine()}")
    entry = f"{_CACHE_ENTRY}-{architecture}"
    private = cache.folder() / entry / "bin" / "micropython"
    if is_usable(private):
        return private
    with cache.locked(entry) as prefix:
        if not is_usable(private):
            with cache.replaced(prefix) as work:
                private_prefix.fill(work, prefix, report, architecture)
    if not is_usable(private):
        raise UserError(f"the MicroPython in {prefix} does not run here: this machine takes no {architecture} programs")
    return private


def is_usable(program: Path) -> bool:
    """Tell whether `program` exists, is new enough and has what an emulated board needs."""
    try:
        version = run([program, "-c", _SELF_CHECK], _CHECK_TIMEOUT_S)
    except ProgramFailed:
        return False
    match = re.fullmatch(r"(\d+) (\d+)", version.strip())
    return match is not None and (int(match[1]), int(match[2])) >= OLDEST_VERSION


def _install_package(report: Report) -> Path | None:
    """Install the distribution's package if it is good and this user may; return it, or None."""
    become_root = _become_root()
    if become_root is None or not is_new_enough(_candidate_version()):
        return None
    report("installing the distribution's micropython package")
    try:
        install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "micropython"]
        run([*become_root, *install], _INSTALL_TIMEOUT_S)
    except ProgramFailed as failure:
        report(f"that failed ({failure.reason}); making a private copy instead")
        return None
    installed = shutil.which("micropython")
    return Path(installed) if installed is not None and is_usable(Path(installed)) else None


def _candidate_version() -> str:
    """Return the version of micropython that apt would install, or an empty string."""
    try:
        policy = run(["apt-cache", "policy", "micropython"], _CHECK_TIMEOUT_S, {**os.environ, "LC_ALL": "C"})
    except ProgramFailed:
        return ""
    match = re.search(r"Candidate: (\S+)", policy)
    return match[1] if match is not None else ""


def is_new_enough(version: str) -> bool:
    """Tell whether a package version such as 1.25.0+ds-1 is at least OLDEST_VERSION."""
    match = re.match(r"(?:\d+:)?(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) >= OLDEST_VERSION


def _become_root() -> list[str] | None:
    """Return the words that run a command as root without asking for a password, or None."""
    if os.geteuid() == 0:
        return []
    try:
        run(["sudo", "-n", "true"], _CHECK_TIMEOUT_S)
    except ProgramFailed:
        return None
    return ["sudo", "-n"]
