"""`fieldpost twin BOARD [get | set PATH=VALUE...]`: what a board shall be, and what it says it is."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from host_tools.cli.arguments import AsJson, DeviceName, pairs
from host_tools.errors import UserError
from host_tools.lab.desired import check_known, leaves, nested, verdict, why_not
from host_tools.lab.quantities import duration_s
from host_tools.remote import find


class Action(StrEnum):
    """What can be done with a twin."""

    GET = "get"
    SET = "set"


def run(
    board: DeviceName,
    action: Annotated[
        Action, typer.Argument(metavar="get|set", help="Show the twin, or change what is desired.")
    ] = Action.GET,
    assignments: Annotated[
        list[str] | None, typer.Argument(metavar="PATH=VALUE", help="A value of null removes the property.")
    ] = None,
    timeout: Annotated[str, typer.Option(help="How long to wait until the board has dealt with it.")] = "10s",
    as_json: AsJson = False,
) -> None:
    """Show a board's twin, or set what is desired of it.

    Waits until the board reports what it made of that.

    For example: twin emulator set pins.relay=1 settings.sample_interval_ms=500
    """
    patch = nested(pairs(assignments or []))
    wait_s = duration_s(timeout)
    if action == Action.GET:
        if patch:
            raise UserError("'get' takes no properties: write set in its place to change them")
        found = find(board).twin()
        if as_json:
            print(json.dumps(found))
        else:
            _show(board, found)
        return
    if not patch:
        raise UserError("name what to set: write it like pins.relay=1")
    check_known(patch)
    found = find(board).set_twin(patch, wait_s)
    if as_json:
        print(json.dumps(found))
    else:
        _show_outcome(board, found)
    if found["status"] != "applied":
        raise typer.Exit(1)


def _show(board: str, twin: dict[str, Any]) -> None:
    """Print what is desired, with what the board made of it, and below what else the board reports."""
    desired, reported = dict(leaves(twin["desired"])), dict(leaves(twin["reported"]))
    console = Console()
    versions = f"desired version {desired.pop('$version')}, reported version {reported.pop('$version')}"
    console.print(f"{board}: {versions}", highlight=False)
    table = Table(
        Column("property", no_wrap=True), "desired", "reported", "", box=None, pad_edge=False, header_style="dim"
    )
    for path, value in sorted(desired.items()):
        if value == {}:
            continue
        said, actual = verdict(twin["reported"], path)
        status = "not reported yet" if said is None else _described(said["status"], why_not(said))
        table.add_row(path, json.dumps(value), json.dumps(actual), status)
    for path, value in sorted(reported.items()):
        if not any(path == known or path.startswith(known + ".") for known in desired):
            table.add_row(path, "", json.dumps(value), "")
    console.print(table)


def _show_outcome(board: str, found: dict[str, Any]) -> None:
    if found["status"] == "none":
        print(f"{board}: desired version {found['version']} is not reported yet: {found['reason']}")
        return
    print(f"{board}: desired version {found['version']} {found['status']}")
    table = Table.grid(padding=(0, 2))
    for one in found["properties"]:
        table.add_row(f"  {one['path']}", json.dumps(one["reported"]), _described(one["status"], one["reason"]))
    Console().print(table)


def _described(status: str, reason: str | None) -> str:
    return status if reason is None else f"{status}: {reason}"
