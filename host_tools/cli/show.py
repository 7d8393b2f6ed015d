"""How the command line shows work: lines on stderr, and a bar where a terminal is."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column

_BAR_CHARS = 20
_WIDE = 60
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
    """The progress of one board among several: one line of its own on the terminal, while it is worked on."""

    def __init__(self, bars: Progress, name: str) -> None:
        self._bars = bars
        self._name = name
        self._task = bars.add_task(name, total=1.0, what="", visible=False)

    def __call__(self, line: str) -> None:
        self._bars.update(self._task, what=line, visible=True)

    def share(self, stage: str, share: float) -> None:
        self._bars.update(self._task, what=stage, completed=share, visible=True)

    def end(self, line: str) -> None:
        self._bars.remove_task(self._task)
        self._bars.console.print(f"{self._name}: {line}", markup=False, highlight=False, soft_wrap=True)


class BoardLines:
    """A line for each of several boards: on a terminal bars for those that are worked on, with what came of the others
    above them; else lines that begin with the board's name.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._bars: Progress | None = None
        self._named: dict[str, Lines | _Named] = {}
        if sys.stderr.isatty():
            console = Console(stderr=True)
            # Of a narrow terminal the last column gets what the name leaves, and the bar none.
            name = TextColumn("{task.description}", table_column=Column(no_wrap=True, min_width=max(map(len, names))))
            bar = [BarColumn(_BAR_CHARS, table_column=Column(min_width=_BAR_CHARS))] if console.width >= _WIDE else []
            what = TextColumn("{task.fields[what]}", table_column=Column(no_wrap=True, ratio=1, overflow="ellipsis"))
            self._bars = Progress(name, *bar, what, console=console, expand=True)
            self._named.update({name: _Named(self._bars, name) for name in names})
            self._bars.start()
        else:
            self._named.update({name: Lines(name) for name in names})

    def of(self, name: str) -> "Lines | _Named":
        """Return the progress of one board."""
        return self._named[name]

    def end(self, name: str, line: str) -> None:
        """Say what came of a board."""
        named = self._named[name]
        (named.end if isinstance(named, _Named) else named)(line)

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
