"""How the command line shows work: lines on stderr, and a bar where a terminal is."""

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

_STEP = 0.25  # without a terminal, a line for every quarter


class Lines:
    """A progress (see host_tools.flash.progress) as lines with the name of the board, if several are worked on."""

    def __init__(self, name: str = "") -> None:
        self._prefix = f"fieldpost: {name}: " if name else "fieldpost: "
        self._stage = ""
        self._told = 0.0

    def __call__(self, line: str) -> None:
        """Print a line."""
        print(self._prefix + line, file=sys.stderr, flush=True)

    def share(self, stage: str, share: float) -> None:
        """Print each quarter of a stage."""
        if stage != self._stage:
            self._stage, self._told = stage, 0.0
        if share >= self._told + _STEP or (share >= 1 > self._told):
            self._told = share
            self(f"{stage}: {share:.0%}")


class Bar:
    """A progress with one bar on the terminal for what is under way; close it at the end."""

    def __init__(self) -> None:
        columns = (TextColumn("fieldpost: {task.description}"), BarColumn(), TaskProgressColumn())
        self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bars.add_task("", total=1.0, visible=False)
        self._bars.start()

    def __call__(self, line: str) -> None:
        """Print a line above the bar."""
        self._bars.console.print(f"fieldpost: {line}", markup=False, highlight=False, soft_wrap=True)

    def share(self, stage: str, share: float) -> None:
        """Move the bar; it goes when the stage is done."""
        self._bars.update(self._task, description=stage, completed=share, visible=share < 1)

    def close(self) -> None:
        """Take the bar off the screen."""
        self._bars.stop()


def progress() -> Lines | Bar:
    """Return what suits this stderr."""
    return Bar() if sys.stderr.isatty() else Lines()
