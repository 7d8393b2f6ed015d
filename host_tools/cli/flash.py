"""`fieldpost flash [BOARD]`: put the agent on a board, and see it run if the board is emulated.

Without a board it shows which there are. With --for it runs a scenario unattended and exits 1 if anything is
not as it should be.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from host_tools import boards
from host_tools.cli import fleet, real_board
from host_tools.cli.boards import print_table
from host_tools.errors import UserError
from host_tools.lab import session
from host_tools.lab.folder import LabFolder
from host_tools.lab.plan import POWER_OFF_S, REDELIVERED_SHARE, Plan, make_plan
from host_tools.lab.quantities import duration_s, rate_hz, span
from host_tools.lab.settings import Settings

EMULATOR = "emulator"
_USER_COMMANDS = "user_commands.py"
_INTERVAL_MS = 1000
_SCENARIO = "Scenario (emulator)"
_REAL = "Real boards"


def run(
    board: Annotated[
        str | None, typer.Argument(metavar="BOARD", help="A board; without one, the boards are listed.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the emulated board, kept between runs.")] = None,
    shape: Annotated[
        str | None, typer.Option(help="Board whose hardware the emulator takes on: esp32, pico_w.")
    ] = None,
    words: Annotated[
        int, typer.Option(help="Bytes in a word of the emulated board: 8, or 4 as boards have, and a heap like theirs.")
    ] = 8,
    romfs: Annotated[
        bool, typer.Option("--romfs", help="The emulated ESP32's firmware runs code in ROMFS (docs/flash.md).")
    ] = False,
    rate: Annotated[str | None, typer.Option(help="Readings, such as 5/s or 30/min; 1/s if not given.")] = None,
    hub_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the local hub; 0 for any free one.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that goes wrong on purpose.")] = 1,
    user_commands: Annotated[
        Path | None, typer.Option(help="Commands of your own; user_commands.py in this folder, if it is there.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show what the board prints.")] = False,
    length: Annotated[
        str | None,
        typer.Option("--for", help="Run unattended for so long, such as 60s.", rich_help_panel=_SCENARIO),
    ] = None,
    outage: Annotated[
        list[str] | None,
        typer.Option(help="Cut the link, LENGTH@START such as 10s@15s; repeatable.", rich_help_panel=_SCENARIO),
    ] = None,
    power_cut: Annotated[
        list[str] | None,
        typer.Option(help="Pull the plug, START or LENGTH@START; repeatable.", rich_help_panel=_SCENARIO),
    ] = None,
    flash_cuts: Annotated[
        int,
        typer.Option(
            min=0, help="Pull the plug inside so many flash operations, as they come.", rich_help_panel=_SCENARIO
        ),
    ] = 0,
    commands: Annotated[
        int | None,
        typer.Option(help="How many commands; one every 3 s if not given.", rich_help_panel=_SCENARIO),
    ] = None,
    redeliver: Annotated[
        float,
        typer.Option(help="Share of commands whose acknowledgement gets lost.", rich_help_panel=_SCENARIO),
    ] = REDELIVERED_SHARE,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object last.", rich_help_panel=_SCENARIO)
    ] = False,
    port: Annotated[str | None, typer.Option(help="Serial port, such as /dev/ttyACM0.", rich_help_panel=_REAL)] = None,
    drive: Annotated[Path | None, typer.Option(help="BOOTSEL drive of a Pico.", rich_help_panel=_REAL)] = None,
    micropython: Annotated[
        Path | None, typer.Option("--firmware", help="MicroPython's file for the board.", rich_help_panel=_REAL)
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Who the board will be, by its name at the hub.", rich_help_panel=_REAL)
    ] = None,
    identity: Annotated[
        Path | None,
        typer.Option(help="Who it will be: JSON with device_id, key, ca_der, wifi_passwords.", rich_help_panel=_REAL),
    ] = None,
    hub: Annotated[str | None, typer.Option(help="Host name of the IoT hub.", rich_help_panel=_REAL)] = None,
    config: Annotated[
        Path | None, typer.Option(help="Instead of fieldpost.toml in this folder.", rich_help_panel=_REAL)
    ] = None,
    wipe: Annotated[
        bool, typer.Option("--wipe", help="Forget identity, numbers, unsent readings.", rich_help_panel=_REAL)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at the board and print the plan.", rich_help_panel=_REAL)
    ] = False,
    fleet_csv: Annotated[
        Path | None,
        typer.Option(
            "--fleet", help="Several boards: CSV with device, board, port or drive, firmware.", rich_help_panel=_REAL
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Boards at a time.", rich_help_panel=_REAL)] = 4,
    wait: Annotated[bool, typer.Option(help="Wait for the first reading at the hub.", rich_help_panel=_REAL)] = True,
) -> None:
    """Put the agent on a board, and see it run.

    An emulated board is started, shown, and put through scenarios with --for.
    """
    if user_commands is not None and not user_commands.is_file():
        raise UserError(f"cannot read {user_commands}: there is no such file")
    if user_commands is None and Path(_USER_COMMANDS).is_file():
        user_commands = Path(_USER_COMMANDS)
        _report(f"with the commands of {_USER_COMMANDS} in this folder")
    interval_ms = None if rate is None else round(1000 / rate_hz(rate))
    setting = real_board.Setting(config, hub, interval_ms)
    what = real_board.What(micropython, wipe, dry_run, wait, user_commands)
    if fleet_csv is not None:
        if port is not None or drive is not None or device is not None or identity is not None:
            raise UserError("--port, --drive, --device and --identity are for one board: the rows of --fleet say them")
        fleet.flash(fleet_csv, board, what, setting, jobs, as_json)
        return
    if board is None:
        print_table(Console())
        return
    boards.load(board)  # an unknown name is told before anything else that may be wrong
    if board != EMULATOR:
        where = real_board.Where(port, drive)
        who = real_board.Who(device, identity)
        real_board.flash(board, where, who, what, setting, as_json)
        return
    if words not in (4, 8):
        raise UserError(f"--words {words}: expected 4 or 8")
    settings = Settings(board, shape, interval_ms or _INTERVAL_MS, hub_port, seed, verbose, words, user_commands, romfs)
    plan = _plan(length, outage or [], power_cut or [], flash_cuts, commands, redeliver, seed)
    if plan is None:
        if as_json:
            raise UserError("--json prints the outcome of a scenario: add --for, such as --for 60s")
        folder = LabFolder(name or _default_name(settings))
        uvloop.run(session.watch_until_stopped(folder, settings, Console(), _report))
        return
    _run_scenario(board, name, settings, plan, as_json)


def _plan(
    length: str | None,
    outages: list[str],
    power_cuts: list[str],
    flash_cuts: int,
    commands: int | None,
    redeliver: float,
    seed: int,
) -> Plan | None:
    """Return the scenario that the options describe, None if they describe none."""
    if length is None:
        if outages or power_cuts or flash_cuts or commands is not None:
            raise UserError(
                "--outage, --power-cut, --flash-cuts and --commands belong to a scenario: add --for, such as --for 60s"
            )
        return None
    return make_plan(
        duration_s(length),
        [span(text) for text in outages],
        [span(text, POWER_OFF_S) for text in power_cuts],
        commands,
        redeliver,
        seed,
        flash_cuts,
    )


def _run_scenario(board: str, name: str | None, settings: Settings, plan: Plan, as_json: bool) -> None:
    """Run it on a board of its own that is thrown away, unless a name asks for one that is kept."""
    temporary = None if name else Path(tempfile.mkdtemp(prefix="fieldpost-"))
    folder = LabFolder(name or _default_name(settings), temporary)
    try:
        outcome = uvloop.run(session.run_scenario(folder, settings, plan, _report))
    except BaseException:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
        raise
    for problem in outcome.problems:
        _report(problem)
    if as_json:
        print(json.dumps(outcome.counts))
    else:
        for key, value in outcome.counts.items():
            print(f"{key:>24}  {value}")
    if outcome.problems:
        if temporary:
            _report(f"what the board and the hub hold is kept in {temporary}")
        raise typer.Exit(1)
    if temporary:
        shutil.rmtree(temporary)


def _default_name(settings: Settings) -> str:
    return "-".join([settings.board, *([settings.shape] if settings.shape else []), *["romfs"] * settings.has_romfs])


def _report(line: str) -> None:
    print(f"fieldpost: {line}", file=sys.stderr, flush=True)
