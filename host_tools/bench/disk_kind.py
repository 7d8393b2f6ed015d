"""Which file system a folder lies on: figures of one say nothing of another."""

from pathlib import Path

_IN_MEMORY = ("tmpfs", "ramfs")


def of(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Return the kind of file system that holds `folder`, such as "ext4", with a warning if that is memory."""
    kinds: dict[Path, str] = {}
    try:
        for line in mounts.read_text(encoding="utf-8").splitlines():
            _, point, kind = line.split()[:3]
            kinds[Path(point.replace("\\040", " "))] = kind
    except OSError:
        return "unknown"
    resolved = folder.resolve()
    kind = next((kinds[place] for place in (resolved, *resolved.parents) if place in kinds), "unknown")
    return f"{kind}, in memory: it keeps nothing and proves nothing, see --disk" if kind in _IN_MEMORY else kind
