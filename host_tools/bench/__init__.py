"""How the ring compares with what others keep such records in: measured side by side, in one run."""

from collections.abc import Callable
from pathlib import Path

IN_ROM = Path(__file__).parent / "link" / "programs" / "in_rom.py"
"""Program for MicroPython that runs another whose modules lie in read-only memory."""

Report = Callable[[str, float], object]
"""Takes what is being measured and how much of it is done (0 to 1)."""


class RecordsDiffer(Exception):
    """A contestant did not give back what it was given: its figures mean nothing."""
