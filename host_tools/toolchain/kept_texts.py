"""What the firmware's sources became, kept in the user's cache: making them small takes longer than compiling them.

An entry is a JSON object of texts by name, under the hash of everything that has a say in it. The newest few are kept.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from host_tools.toolchain import cache

_KEPT_MAX = 8
_TOOLS = Path(__file__).parent


def kept_or_made(sources: Mapping[str, Path], variant: str, make: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Return what `make` returns, or what it returned the last time for the same sources, variant and tools."""
    with cache.locked("firmware-texts") as folder:
        entry = folder / f"{_key(sources, variant)}.json"
        try:
            kept: dict[str, str] = json.loads(entry.read_text(encoding="utf-8"))
            os.utime(entry)
            return kept
        except (OSError, ValueError):
            made = make()
        folder.mkdir(exist_ok=True)
        partial = entry.with_suffix(".partial")
        partial.write_text(json.dumps(made), encoding="utf-8")
        partial.replace(entry)
        for old in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)[:-_KEPT_MAX]:
            old.unlink()
        return made


def _key(sources: Mapping[str, Path], variant: str) -> str:
    digest = hashlib.sha256(f"{variant} {sys.version}".encode())
    tools = {f"tool {path.name}": path for path in (*_TOOLS.glob("*.py"), *_TOOLS.glob("*.txt"))}
    for name, path in sorted((tools | dict(sources)).items()):
        content = path.read_bytes()
        digest.update(f"\n{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:32]
