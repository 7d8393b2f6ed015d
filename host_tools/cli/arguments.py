"""Arguments that several verbs share, and KEY=VALUE pairs."""

import json
from typing import Annotated, Any

import typer

from host_tools.errors import UserError

BoardName = Annotated[str, typer.Argument(metavar="BOARD", help="Name of a running board, such as emulator.")]
DeviceName = Annotated[
    str, typer.Argument(metavar="DEVICE", help="A running board, such as emulator, or a device of the hub.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def pairs(texts: list[str]) -> dict[str, Any]:
    """Return the dict that KEY=VALUE texts mean; a value is JSON or else text. Raises UserError."""
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UserError(f"'{text}' is not KEY=VALUE: write it like pin=relay")
        if key in found:
            raise UserError(f"'{key}' stands there twice: keep one of them")
        found[key] = _value(value)
    return found


def numbers(texts: list[str]) -> dict[str, float]:
    """Return the dict that KEY=NUMBER texts mean. Raises UserError."""
    found = pairs(texts)
    for key, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{key}={value} is no number: write it like {key}=21.5")
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return text


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")
