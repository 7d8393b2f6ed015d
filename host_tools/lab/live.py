"""What a person sees while a lab runs: one screen that is drawn again a few times a second.

Where the output is no terminal it becomes a line every few seconds, so that a log of it can be read.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from host_tools.lab.lab import Lab
from host_tools.lab.snapshot import line, snapshot, state

_FRAMES_PER_S = 4
_LINE_EVERY_S = 5.0
_BARS = "▁▂▃▄▅▆▇█"
_STATE_STYLES = {"ready": "bold green", "off": "bold red", "link is down": "bold yellow"}


async def show(lab: Lab, stop: asyncio.Event, console: Console) -> None:
    """Show the lab until `stop` is set."""
    if not console.is_terminal:
        await _show_lines(lab, stop, console)
        return
    with Live(screen(snapshot(lab)), console=console, auto_refresh=False, transient=True) as live:
        while not await _stopped(stop, 1 / _FRAMES_PER_S):
            live.update(screen(snapshot(lab)), refresh=True)


def screen(view: dict[str, Any]) -> RenderableType:
    """Return the screen for a snapshot."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", justify="right", no_wrap=True)
    grid.add_column()
    for name, value in _rows(view):
        grid.add_row(name, value)
    title = Text.assemble("fieldpost ", (view["board"], "bold"))
    return Group(Panel(grid, title=title, title_align="left", border_style="dim"), hints(view["board"]))


def hints(board: str) -> Text:
    """Return what can be typed in a second terminal."""
    commands = (
        f"send {board} gpio.set pin=relay value=1",
        f"twin {board} set settings.sample_interval_ms=200",
        f"outage {board} 20s",
        f"power {board} cycle",
        f"sensor {board} temperature=31.5",
        f"audit {board}",
    )
    lines = [Text("In a second terminal:", style="dim")]
    lines += [Text(f"  {_program()} {command}") for command in commands]
    return Text("\n").join([*lines, Text("Ctrl-C ends it; the board keeps its readings.", style="dim")])


def summary(view: dict[str, Any]) -> str:
    """Return what a run came to, in one sentence."""
    hub, agent = view["hub"], view["agent"]
    waiting = agent.get("pending")
    still = "" if waiting is None else f", {waiting} waiting in the ring"
    return (
        f"{hub['records']} records arrived in {hub['messages']} messages, "
        f"{hub['lost']} reported as lost{still}; `{_program()} audit {view['board']}` proves it"
    )


def sparkline(values: list[float]) -> str:
    """Return the course of `values` as a row of bars, the lowest value the lowest bar."""
    if not values:
        return ""
    low, high = min(values), max(values)
    if high == low:
        return _BARS[0] * len(values)
    return "".join(_BARS[int((value - low) / (high - low) * (len(_BARS) - 1))] for value in values)


def _program() -> str:
    """Return how the user can call the command: a clone's lies in its .venv, which need not be on PATH."""
    program = Path(sys.argv[0])
    if program.name != "fieldpost" or ".venv" not in program.parts:
        return "fieldpost"
    return str(program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program)


def _rows(view: dict[str, Any]) -> list[tuple[str, RenderableType]]:
    agent, hub = view["agent"], view["hub"]
    word = state(view)
    rows: list[tuple[str, RenderableType]] = [
        ("board", Text.assemble((word, _STATE_STYLES.get(word, "bold")), f"   {_age(agent)}")),
        ("ring", f"{agent.get('pending', '-')} records waiting, next number {agent.get('next_number', '-')}"),
        ("reading", _reading(hub["reading"])),
        ("", Text(sparkline(hub["temperatures"]), style="cyan")),
        (
            "records",
            f"{agent.get('sent', 0)} sent, {agent.get('acked', 0)} acknowledged, {agent.get('lost', 0)} lost",
        ),
        ("pins", _pins(view["pins"])),
        (
            "hub",
            f"port {hub['port']}, {'connected' if view['connected'] else 'not connected'}, "
            f"{hub['records']} records in {hub['messages']} messages, "
            f"{hub['commands_waiting']} commands waiting",
        ),
    ]
    if agent.get("error"):
        rows.append(("trouble", Text(str(agent["error"]), style="yellow")))
    if hub["events"]:
        rows.append(("events", "\n".join(hub["events"])))
    return rows


def _age(agent: dict[str, Any]) -> str:
    if not agent:
        return ""
    return f"boot {agent.get('boot', '?')}, up {agent.get('uptime_ms', 0) / 1000:.0f} s"


def _reading(reading: dict[str, Any] | None) -> str:
    if reading is None:
        return "none yet"
    return (
        f"{reading['temperature']:.2f} C   {reading['pressure']:.2f} hPa   {reading['humidity']:.2f} %   "
        f"(number {reading['n']})"
    )


def _pins(levels: dict[str, int]) -> Text:
    shown = [
        Text.assemble(f"{name} ", ("●" if level else "○", "green" if level else "dim"))
        for name, level in levels.items()
    ]
    return Text("   ").join(shown)


async def _show_lines(lab: Lab, stop: asyncio.Event, console: Console) -> None:
    console.print(hints(lab.folder.name))
    while not await _stopped(stop, _LINE_EVERY_S):
        console.print(line(snapshot(lab)), soft_wrap=True, highlight=False)


async def _stopped(stop: asyncio.Event, wait_s: float) -> bool:
    try:
        await asyncio.wait_for(stop.wait(), wait_s)
    except TimeoutError:
        return False
    return True
