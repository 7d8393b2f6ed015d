"""`fieldpost method BOARD NAME [KEY=VALUE]...`: call a direct method and wait for the answer."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from host_tools.cli.arguments import AsJson, DeviceName, pairs
from host_tools.errors import UserError
from host_tools.lab.quantities import duration_s
from host_tools.remote import find

_TIMEOUT_S_MAX = 300.0  # of a direct method (Microsoft, "Understand and invoke direct methods from IoT Hub")
_FAILED = 400


def run(
    board: DeviceName,
    name: Annotated[str, typer.Argument(metavar="COMMAND", help="A command, such as gpio.get or agent.info.")],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE")] = None,
    timeout: Annotated[str, typer.Option(help="How long to wait for the answer, 5m at most.")] = "10s",
    as_json: AsJson = False,
) -> None:
    """Call a direct method and print the answer.

    It comes at once or not at all: nothing is kept for a board that is away.

    For example: method emulator gpio.get pin=relay
    """
    wait_s = duration_s(timeout)
    if wait_s > _TIMEOUT_S_MAX:
        raise UserError(f"a direct method waits {_TIMEOUT_S_MAX:g} s at most: choose a shorter --timeout")
    given = pairs(arguments or [])
    found = find(board).method(name, given, wait_s)
    if as_json:
        print(json.dumps(found))
    else:
        _show(board, name, found)
    if found["status"] is None or found["status"] >= _FAILED:
        raise typer.Exit(1)


def _show(board: str, name: str, found: dict[str, Any]) -> None:
    if found["status"] is None:
        print(f"{board}: no answer to {name}: {found['reason']}")
        return
    answer = found["answer"]
    if not isinstance(answer, dict) or "status" not in answer:
        print(f"{board}: {name} answered {found['status']}: {json.dumps(answer)}")
        return
    result = dict(answer.get("result") or {})
    reason = result.pop("reason", None)
    print(f"{board}: {name} {answer['status']} ({found['status']})" + (f": {reason}" if reason is not None else ""))
    if result:
        table = Table.grid(padding=(0, 2))
        for key, value in result.items():
            table.add_row(f"  {key}", value if isinstance(value, str) else json.dumps(value))
        Console().print(table)
