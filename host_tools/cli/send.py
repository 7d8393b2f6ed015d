"""`fieldpost send BOARD COMMAND [KEY=VALUE]...`: send a command through the hub and wait for the answer."""

import json
from typing import Annotated, Any

import typer

from host_tools.cli.arguments import AsJson, DeviceName, pairs
from host_tools.lab.quantities import duration_s
from host_tools.remote import find


def run(
    board: DeviceName,
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="Such as gpio.set, gpio.pulse or ping.")],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE")] = None,
    timeout: Annotated[str, typer.Option(help="How long to wait for the answer.")] = "10s",
    as_json: AsJson = False,
) -> None:
    """Send a command and print the answer.

    For example: send emulator gpio.set pin=relay value=1
    """
    wait_s = duration_s(timeout)
    given = pairs(arguments or [])
    answer = find(board).send(command, given, wait_s)
    print(json.dumps(answer) if as_json else _described(board, command, answer))
    if answer["status"] != "done":
        raise typer.Exit(1)


def _described(board: str, command: str, answer: dict[str, Any]) -> str:
    if answer["status"] == "none":
        return f"{board}: no answer to {command} yet: {answer['reason']}"
    result = dict(answer["result"])
    reason = result.pop("reason", None)
    detail = reason if reason is not None else " ".join(f"{key}={value}" for key, value in result.items())
    return f"{board}: {command} {answer['status']}" + (f": {detail}" if detail else "")
