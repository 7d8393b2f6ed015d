"""Where boards/ and firmware/ lie: at the top of a checkout, or beside this file in an installation."""

from pathlib import Path

_HERE = Path(__file__).parent


def shipped(folder: str) -> Path:
    """Return the folder `boards` or `firmware`."""
    installed = _HERE / "_shipped" / folder
    return installed if installed.is_dir() else _HERE.parent / folder
