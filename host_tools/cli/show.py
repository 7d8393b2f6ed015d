"""How the command line shows work: lines on stderr, and a bar where a terminal is."""

import sys
from collections.abc import Sequence

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


class _Named:
    """The progress of one board among several: one line of its own on the terminal."""

    def __init__(self, bars: Progress, name: str) -> None:
        self._bars = bars
        self._task = bars.add_task(name, total=1.0, what="waits")

    def __call__(self, line: str) -> None:
        self._bars.update(self._task, what=line)

    def share(self, stage: str, share: float) -> None:
        self._bars.update(self._task, what=stage, completed=share)


class BoardLines:
    """A line for each of several boards: bars on a terminal, else lines that begin with the board's name."""

    def __init__(self, names: Sequence[str]) -> None:
        self._bars: Progress | None = None
        self._named: dict[str, Lines | _Named] = {}
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[what]}"))
            self._bars = Progress(*columns, console=Console(stderr=True))
            self._named.update({name: _Named(self._bars, name) for name in names})
            self._bars.start()
        else:
            self._named.update({name: Lines(name) for name in names})

    def of(self, name: str) -> "Lines | _Named":
        """Return the progress of one board."""
        return self._named[name]

    def close(self) -> None:
        """Leave the lines as they are."""
        if self._bars is not None:
            self._bars.stop()


def lines(names: Sequence[str]) -> BoardLines:
    """Return a line for each board."""
    return BoardLines(names)


def progress() -> Lines | Bar:
    """Return what suits this stderr."""
    return Bar() if sys.stderr.isatty() else Lines()
