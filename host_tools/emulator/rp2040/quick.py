"""Makes the emulated chip several times quicker, where this machine can compile: once, into the user's cache.

rp2040py's wheels serve every Python through the stable ABI, in which each access to the chip's memory asks Python
whether somebody has overridden it. Its C files come with it: compiled for this very Python they need not ask. Beside
them goes our own loop (engine_room.pyx). Without a C compiler, Python's headers or Cython all runs as it came.
"""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from host_tools.toolchain import cache
from host_tools.toolchain.process import ProgramFailed, run

_NATIVE = "rp2040py.native"
_ROOM = f"{__package__}.engine_room"
_SOURCE = Path(__file__).with_name("engine_room.pyx")
_FLAGS = ("-O2", "-DNDEBUG", "-fPIC", "-shared", "-w")
_COMPILE_S_MAX = 900.0  # 50 s of one free core in all


def engine_room(report: Callable[[str], object] = lambda line: None) -> ModuleType | None:
    """Return the compiled loop, None where there is none. The first call decides; it may take a minute.

    Call it before anything of rp2040py is imported: what has been imported stays as it came. report: takes a line
    when something is compiled, or why it is not.
    """
    if _ROOM in sys.modules:
        return sys.modules[_ROOM]
    if _NATIVE in sys.modules:
        return None
    try:
        folder = _built(report)
    except ProgramFailed as error:
        report(f"the engine runs as it came, several times slower: {error}")
        return None
    finder = _Finder(folder)
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module(_ROOM)
    except Exception as error:  # whatever a library that was compiled for something else may raise
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name == _ROOM or name.split(".")[0] == "rp2040py"]:
            del sys.modules[name]
        report(f"the engine runs as it came, several times slower: {error}")
        return None


class _Finder:
    """Finds the compiled modules in `folder`, before anybody finds those of the wheel."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        package, _, module = name.rpartition(".")
        file = self._folder / f"{module}.so"
        if (package != _NATIVE and name != _ROOM) or not file.is_file():
            return None
        loader: Any = ExtensionFileLoader(name, str(file))
        return importlib.util.spec_from_file_location(name, file, loader=loader)


def _built(report: Callable[[str], object]) -> Path:
    """Return the folder of the compiled modules. ProgramFailed if they cannot be made."""
    found = importlib.util.find_spec("rp2040py")
    if found is None or found.origin is None:
        raise ProgramFailed("rp2040py", "not installed")
    native = Path(found.origin).parent / "native"
    compiler = _compiler()
    about = (importlib.metadata.version("rp2040py"), sysconfig.get_config_var("SOABI"), compiler, *_FLAGS)
    digest = hashlib.sha256(repr(about).encode() + _SOURCE.read_bytes()).hexdigest()[:16]
    with cache.locked(f"rp2040-{digest}") as folder:
        if not folder.is_dir():
            report("compiling the engine for this machine, about a minute, once")
            with cache.replaced(folder) as work:
                _compile(native, compiler, work)
    return folder


def _compiler() -> str:
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        found = shutil.which(name) if name else None
        if found is not None:
            return found
    raise ProgramFailed("cc", "there is no C compiler")


def _compile(native: Path, compiler: str, work: Path) -> None:
    headers = Path(sysconfig.get_path("include"))
    if not (headers / "Python.h").is_file():
        raise ProgramFailed("cc", f"Python's headers are not in {headers} (package python3-dev)")
    room = work / f"{_SOURCE.stem}.c"
    roots = ("-I", native.parent.parent)
    run([sys.executable, "-m", "cython", "-3", *roots, _SOURCE, "-o", room], _COMPILE_S_MAX)
    sources = [room, *sorted(native.glob("_*.c"))]

    def compile_one(source: Path) -> None:
        run([compiler, *_FLAGS, "-I", headers, source, "-o", work / f"{source.stem}.so"], _COMPILE_S_MAX)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_one, sources))
    room.unlink()
