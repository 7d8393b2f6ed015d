"""Builds fieldpost_VERSION_ARCHITECTURE.deb: the agent, its drivers, the unit. What is installed fetches nothing.

Blinka and what it needs come from the package index as requirements.txt pins them, by hash, and lie in a folder of
their own: Debian has no Blinka, and its libgpiod bindings are older than Blinka 10 takes. The folder holds the
compiled half of gpiod for every Python of Debian 12, Ubuntu 24.04 and Debian 13.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from host_tools.errors import UserError
from host_tools.toolchain import cache, umqtt

_ROOT: Final = Path(__file__).parents[2]
_PYTHONS: Final = ("3.11", "3.12", "3.13")
_PLATFORMS: Final = {"amd64": "x86_64", "arm64": "aarch64"}
_VENDORED: Final = (
    "adafruit-blinka",
    "adafruit-circuitpython-bme280",
    "adafruit-circuitpython-busdevice",
    "adafruit-circuitpython-typing",
    "adafruit-platformdetect",
    "adafruit-pureio",
    "gpiod",
    "packaging",
    "paho-mqtt",
    "typing-extensions",
)
# Of the agent's ports not those of boards, of the host's tools what reads a queue and looks after the service.
_BOARD_PORTS: Final = (
    "analog.py", "block_region.py", "board.py", "code_in_flash.py", "esp32.py", "files_region.py", "heap.py",
    "lent_blocks.py", "objects_in_flash.py", "rp2.py", "wifi.py",
)  # fmt: skip
_HOST: Final = (
    "__init__.py",
    "errors.py",
    "shipped.py",
    "boards",
    "queue",
    "service",
    "lab/__init__.py",
    "lab/quantities.py",
)
_NOT_INSTALLED: Final = ("service/deb.py",)
_LIB: Final = Path("usr/lib/fieldpost")
_VENDOR_LAYOUT: Final = 1  # what _fetch makes of the same pins
_EPOCH: Final = 1_700_000_000  # the same sources give the same bytes; SOURCE_DATE_EPOCH overrides it


def project_version() -> str:
    """Return the version that pyproject.toml names."""
    return str(tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["version"])


def machine_architecture() -> str:
    """Return Debian's name of this machine's architecture."""
    return _run(["dpkg", "--print-architecture"]).strip()


def build(
    out_dir: Path,
    architecture: str | None = None,
    version: str | None = None,
    report: Callable[[str], object] = print,
) -> Path:
    """Build the package into `out_dir` and return its path.

    architecture: amd64 or arm64, this machine's if None; any can be built anywhere. UserError if it cannot be built.
    """
    architecture = architecture or machine_architecture()
    if architecture not in _PLATFORMS:
        raise UserError(
            f"there is no package for {architecture}: gpiod comes ready-made for {' and '.join(_PLATFORMS)} only; "
            "every Raspberry Pi since the 3 runs the 64-bit Raspberry Pi OS"
        )
    version = version or project_version()
    if not re.fullmatch(r"[0-9][A-Za-z0-9.+~-]*", version):
        raise UserError(f"'{version}' is no version of a Debian package: it begins with a digit, like 0.1.0")
    if not (_ROOT / "packaging").is_dir():
        raise UserError("the package is built from a checkout of the project: run this there")
    if shutil.which("dpkg-deb") is None:
        raise UserError("dpkg-deb is not here: build on Debian, Ubuntu or Raspberry Pi OS")
    out_dir.mkdir(parents=True, exist_ok=True)
    target = out_dir / f"fieldpost_{version}_{architecture}.deb"
    with tempfile.TemporaryDirectory(prefix="fieldpost-deb-") as folder:
        root = Path(folder) / "root"
        root.mkdir(mode=0o755)
        _agent(root)
        shutil.copytree(_vendored(architecture, report), root / _LIB / "vendor", dirs_exist_ok=True)
        _system(root, version)
        _control(root, architecture, version)
        _make_equal(root)
        report("packing")
        epoch = os.environ.get("SOURCE_DATE_EPOCH", str(_EPOCH))
        unfinished = Path(folder) / target.name
        _run(
            ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(root), str(unfinished)],
            {**os.environ, "SOURCE_DATE_EPOCH": epoch},
        )
        shutil.move(unfinished, target)
    return target


def _agent(root: Path) -> None:
    lib = root / _LIB
    for source in sorted((_ROOT / "firmware" / "fieldpost").rglob("*.py")):
        if source.parent.name != "ports" or source.name not in _BOARD_PORTS:
            _copy(source, lib / source.relative_to(_ROOT))
    for name in _HOST:
        place = _ROOT / "host_tools" / name
        for source in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            if source.relative_to(_ROOT / "host_tools").as_posix() not in _NOT_INSTALLED:
                _copy(source, lib / source.relative_to(_ROOT))
    _copy(_ROOT / "boards" / "raspberry_pi" / "board.toml", lib / "boards" / "raspberry_pi" / "board.toml")
    _copy(_ROOT / "packaging" / "fieldpost-agent", lib / "fieldpost-agent", 0o755)
    _copy(_ROOT / "packaging" / "fieldpost", root / "usr/bin/fieldpost", 0o755)
    _copy(umqtt.find_or_download(lambda _: None) / "umqtt" / "simple.py", lib / "vendor" / "umqtt" / "simple.py")


def _vendored(architecture: str, report: Callable[[str], object]) -> Path:
    """Return a folder of the pinned packages for every Python; fetched once for each set of pins."""
    pins = _pins((_ROOT / "requirements.txt").read_text())
    entry = "deb-" + hashlib.sha256(f"{_VENDOR_LAYOUT} {architecture} {_PYTHONS} {pins}".encode()).hexdigest()[:12]
    with cache.locked(entry) as home:
        if not home.exists():
            report("fetching what requirements.txt pins")
            with cache.replaced(home) as target, tempfile.TemporaryDirectory(prefix="fieldpost-deb-") as work:
                _fetch(target, architecture, Path(work), pins)
    return home


def _fetch(target: Path, architecture: str, work: Path, pins: str) -> None:
    """Install the pinned wheels for each Python; what is not compiled is the same for all."""
    pinned = work / "requirements.txt"
    pinned.write_text(pins)
    machine = _PLATFORMS[architecture]
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in range(17, 37)]
    for python in _PYTHONS:
        place = work / f"python{python}"
        _run(
            [
                sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                "--no-compile", "--only-binary=:all:", "--require-hashes", f"--python-version={python}",
                "--implementation=cp", *platforms, f"--platform=manylinux2014_{machine}", f"--target={place}",
                "-r", str(pinned),
            ]
        )  # fmt: skip
        shutil.rmtree(place / "bin", ignore_errors=True)
        shutil.copytree(place, target, dirs_exist_ok=True)
    # Programs of Blinka's for pulses, for boards of three makers and without their sources: nothing here starts them.
    for program in target.rglob("libgpiod_pulsein*"):
        program.unlink()
    for record in target.glob("*.dist-info/*"):
        # RECORD names another folder's files, and differs between the Pythons.
        if record.name in ("RECORD", "direct_url.json", "INSTALLER", "REQUESTED"):
            record.unlink()


def _pins(requirements: str) -> str:
    """Return the lines of requirements.txt that concern what is vendored, hashes included."""
    blocks = re.findall(r"^([a-z0-9-]+)==\S+(?:.*\\\n)(?:    --hash=.*\n)+", requirements, re.MULTILINE)
    missing = set(_VENDORED) - set(blocks)
    assert not missing, f"requirements.txt does not pin {missing}"
    return "".join(
        match[0]
        for match in re.finditer(r"^([a-z0-9-]+)==\S+(?:.*\\\n)(?:    --hash=.*\n)+", requirements, re.MULTILINE)
        if match[1] in _VENDORED
    )


def _system(root: Path, version: str) -> None:
    packaging = _ROOT / "packaging"
    _copy(packaging / "fieldpost.service", root / "usr/lib/systemd/system/fieldpost.service")
    _copy(packaging / "sysusers.conf", root / "usr/lib/sysusers.d/fieldpost.conf")
    doc = root / "usr/share/doc/fieldpost"
    _copy(packaging / "deb" / "copyright", doc / "copyright")
    _copy(_ROOT / "docs" / "raspberry-pi.md", doc / "raspberry-pi.md")
    changelog = f"fieldpost ({version}) stable; urgency=medium\n\n  * See CHANGELOG.md of the project.\n\n"
    changelog += " -- fieldpost contributors <fieldpost@localhost>  Tue, 14 Nov 2023 22:13:20 +0000\n"
    (doc / "changelog.gz").write_bytes(gzip.compress(changelog.encode(), 9, mtime=0))


def _control(root: Path, architecture: str, version: str) -> None:
    debian = root / "DEBIAN"
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    lowest, highest = _PYTHONS[0], _PYTHONS[-1]
    above = f"3.{int(highest.split('.')[1]) + 1}"
    control = f"""\
Package: fieldpost
Version: {version}
Architecture: {architecture}
Maintainer: fieldpost contributors <fieldpost@localhost>
Installed-Size: {sum(path.stat().st_size for path in files) // 1024}
Depends: python3 (>= {lowest}), python3 (<< {above}~), libc6 (>= 2.28), systemd (>= 252),
 init-system-helpers (>= 1.52), ca-certificates
Recommends: i2c-tools, gpiod
Section: net
Priority: optional
Description: agent that brings sensor readings to Azure IoT Hub and loses none
 Reads a BME280 and other sensors, keeps every reading in a preallocated file
 that survives power cuts, kill -9 and full disks, and forgets it only when the
 hub has it. Commands from the hub act on pins, once.
 .
 Run "fieldpost service configure" after the installation.
"""
    debian.mkdir()
    (debian / "control").write_text(control)
    sums = [f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(root)}" for path in files]
    (debian / "md5sums").write_text("\n".join(sums) + "\n")
    for script in ("postinst", "prerm", "postrm"):
        _copy(_ROOT / "packaging" / "deb" / script, debian / script, 0o755)


def _make_equal(root: Path) -> None:
    """Give every file the mode that a fresh checkout under umask 022 would give it."""
    for path in root.rglob("*"):
        executable = path.is_dir() or (path.stat().st_mode & 0o100 and path.suffix != ".so")
        path.chmod(0o755 if executable else 0o644)


def _copy(source: Path, target: Path, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    except FileNotFoundError as error:
        raise UserError(f"{command[0]} is not here: build on Debian, Ubuntu or Raspberry Pi OS") from error
    except subprocess.CalledProcessError as error:
        raise UserError(f"{' '.join(command[:4])} failed: {error.stderr.strip() or error.stdout.strip()}") from error
