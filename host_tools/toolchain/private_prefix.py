"""MicroPython out of the distribution's next release, unpacked into a folder of its own.

Debian 12 and Ubuntu 24.04 package a MicroPython that is too old, or none. Their own mirror also carries a
release that has a good one, so apt itself downloads that package with everything below it, C library
included, and checks the signatures. Neither root nor the system's package database is needed or touched.

    <prefix>/unpacked/usr/...   the unpacked packages
    <prefix>/bin/micropython    starts it through the loader that belongs to its C library

apt is given an empty package database, so that it downloads the whole closure instead of what happens to be
missing here, and none of the system's configuration except how to reach the network.
"""

import os
import platform
import shlex
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from host_tools.errors import UserError
from host_tools.toolchain import Report, apt_sources
from host_tools.toolchain.apt_sources import Archive
from host_tools.toolchain.process import ProgramFailed, run

_ATTEMPTS = 3  # a mirror in the middle of its update disagrees with its own index; apt then rightly refuses
_ATTEMPT_PAUSE_S = 5
_UPDATE_TIMEOUT_S = 180
_DOWNLOAD_TIMEOUT_S = 300
_UNPACK_TIMEOUT_S = 60


@dataclass(frozen=True)
class Release:
    """A release of a distribution that has a good MicroPython, and the keyring that verifies it."""

    suite: str
    components: str
    keyring: str


# By the ID of os-release(5).
_RELEASES = {
    "debian": Release("trixie", "main", "/usr/share/keyrings/debian-archive-keyring.gpg"),
    "ubuntu": Release("resolute", "main universe", "/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
}


def fill(prefix: Path, final: Path, report: Report, architecture: str | None = None) -> None:
    """Unpack MicroPython into the empty folder `prefix`, to be started once it has been moved to `final`.

    architecture: the distribution's name of it; this machine's own if None. UserError says what is missing or which
    mirror failed.
    """
    release, archives = _sources()
    apt = prefix / "apt"
    problems = []
    for archive in archives:
        try:
            _download(apt, archive, release, architecture, report)
            break
        except ProgramFailed as failure:
            problems.append(f"{archive.uri} {release.suite}: {failure.reason}")
    else:
        raise UserError(
            f"cannot download MicroPython: {'; '.join(problems)}. "
            "Check the network and try again, or put a MicroPython >= 1.24 on PATH"
        )
    for package in sorted((apt / "archives").glob("*.deb")):
        try:
            run(["dpkg-deb", "-x", package, prefix / "unpacked"], _UNPACK_TIMEOUT_S)
        except ProgramFailed as failure:
            raise UserError(f"cannot unpack {package.name}: {failure.reason}") from failure
    shutil.rmtree(apt)
    _write_starter(prefix, final)


def _sources() -> tuple[Release, list[Archive]]:
    """Return the release to take MicroPython from, and the archives that may carry it, likeliest first."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    for distribution in (system.get("ID", ""), *system.get("ID_LIKE", "").split()):
        if distribution in _RELEASES:
            break
    else:
        raise UserError("fieldpost knows no package of MicroPython for this system: put a MicroPython >= 1.24 on PATH")
    release = _RELEASES[distribution]
    codename = system.get("VERSION_CODENAME", "")
    archives: dict[str, Archive] = {}
    for archive in apt_sources.read():
        # Vendors' own archives (a browser, a database) name other suites or fail the signature.
        if codename in archive.suites and "main" in archive.components and archive.uri not in archives:
            archives[archive.uri] = archive
    if not archives:
        raise UserError(
            f"apt on this machine names no archive of {distribution} {codename}: "
            "put a MicroPython >= 1.24 on PATH, or restore the distribution's apt sources"
        )
    return release, list(archives.values())


def _download(apt: Path, archive: Archive, release: Release, architecture: str | None, report: Report) -> None:
    """Let apt download MicroPython and all it needs into apt/archives. ProgramFailed if it cannot."""
    architecture = architecture or run(["dpkg", "--print-architecture"], _UNPACK_TIMEOUT_S).strip()
    environment = _configure(apt, archive, release, architecture)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            report(f"downloading MicroPython from {release.suite}, about 15 MB with its index")
            run(["apt-get", "-qq", "update"], _UPDATE_TIMEOUT_S, environment)
            run(["apt-get", "-qq", "-d", "-y", "install", "micropython"], _DOWNLOAD_TIMEOUT_S, environment)
            return
        except ProgramFailed as failure:
            if attempt == _ATTEMPTS:
                raise
            report(f"that failed ({failure.reason}); trying again in {_ATTEMPT_PAUSE_S} s")
            time.sleep(_ATTEMPT_PAUSE_S)


def _configure(apt: Path, archive: Archive, release: Release, architecture: str) -> dict[str, str]:
    """Write apt's configuration below `apt`; return the environment that makes apt use it (apt.conf(5))."""
    for folder in ("lists/partial", "archives/partial", "nothing"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "status").write_text("")
    # The keyring of the entry may know the older release only; the distribution's whole one knows both.
    keyring = release.keyring if Path(release.keyring).exists() else archive.keyring
    options = f"arch={architecture}" + (f" signed-by={keyring}" if keyring else "")
    (apt / "sources.list").write_text(f"deb [{options}] {archive.uri} {release.suite} {release.components}\n")
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": apt / "nothing",
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": apt / "nothing",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": apt / "nothing",
        "Dir::State::status": apt / "status",
        "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt,
        "Dir::Cache::archives": apt / "archives",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "0",  # _ATTEMPTS counts them
        "Debug::NoLocking": "true",
    }
    lines = [*_network_settings(), *(f'{name} "{value}";' for name, value in settings.items())]
    (apt / "apt.conf").write_text("\n".join(lines) + "\n")
    return {**os.environ, "APT_CONFIG": str(apt / "apt.conf"), "LC_ALL": "C"}


def _network_settings() -> list[str]:
    """Return how apt reaches the network on this machine: proxies, certificates, date checks."""
    dump = run(["apt-config", "dump", "--format", '%F "%v";%n', "Acquire"], _UNPACK_TIMEOUT_S)
    others = tuple(f"Acquire::{name}" for name in ("IndexTargets", "Changelogs", "CompressionTypes", "Languages"))
    lines = dump.splitlines()
    return [line for line in lines if line.startswith("Acquire::") and not line.startswith(others)]


def _write_starter(prefix: Path, final: Path) -> None:
    """Write bin/micropython: the system's own loader would refuse the newer C library."""
    libraries = next(prefix.glob("unpacked/usr/lib/*/libc.so.6"), prefix).parent
    loader = next(libraries.glob("ld-linux*.so.*"), None)
    if loader is None:
        raise UserError(
            f"the MicroPython package for {platform.machine()} is laid out in an unknown way: "
            "put a MicroPython >= 1.24 on PATH"
        )
    program = prefix / "unpacked/usr/bin/micropython"
    installed = [shlex.quote(str(final / path.relative_to(prefix))) for path in (loader, libraries, program)]
    starter = prefix / "bin" / "micropython"
    starter.parent.mkdir()
    starter.write_text('#!/bin/sh\nexec {} --library-path {} {} "$@"\n'.format(*installed))
    starter.chmod(0o755)
