"""Reads a TOML file against a shape; what is wrong is told with its line.

fieldpost.toml, line 12: hub.port is 99999: expected an integer from 1 to 65535
"""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fieldpost.errors import Mismatch

from host_tools.errors import UserError

_TABLE = re.compile(r"^\s*\[+\s*(.+?)\s*\]+\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_.-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_WHERE = re.compile(r"^(?:a key of )?([^\s:]+)")
_LINE = re.compile(r"\(at line (\d+), column \d+\)")


def read_toml(path: Path, shape: Any, also: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
    """Return what stands in `path`, checked and with defaults filled in. UserError names line, key and the expected.

    also: checks what a shape cannot say; raises Mismatch.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"there is no {path}: make one with `fieldpost init`") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {number}: this is no text in UTF-8: save it as such") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = _LINE.search(str(error))
        where = f", line {line[1]}" if line else ""
        reason = _LINE.sub("", str(error)).strip().rstrip(":")
        raise UserError(f"{path}{where}: this is no TOML: {reason[0].lower()}{reason[1:]}") from error
    try:
        checked: dict[str, Any] = shape.check(values, "")
        if also is not None:
            also(checked)
    except Mismatch as error:
        raise UserError(f"{path}{_at_line(text, str(error))}: {error}") from None
    return checked


def _at_line(text: str, message: str) -> str:
    """Return ", line N" of the key that a message begins with, or of the table that should hold it."""
    where = _WHERE.match(message)
    lines = key_lines(text)
    name = re.sub(r"\[\d+\]", "", where[1]) if where else ""
    while name:
        if name in lines:
            return f", line {lines[name]}"
        name = name.rpartition(".")[0]
    return ""


def key_lines(text: str) -> dict[str, int]:
    """Return the line, from 1, on which each key and table of a TOML text first stands, by its dotted name."""
    found: dict[str, int] = {}
    table = ""
    inside = ""  # the quotes of a text over several lines
    for number, line in enumerate(text.splitlines(), 1):
        if inside:
            inside = "" if inside in line else inside
            continue
        header = _TABLE.match(line)
        key = _KEY.match(line)
        if header and not key:
            table = _plain(header[1])
            found.setdefault(table, number)
        elif key:
            name = _plain(key[1])
            found.setdefault(f"{table}.{name}" if table else name, number)
            for quotes in ('"""', "'''"):
                if line.count(quotes) == 1:
                    inside = quotes
    return found


def _plain(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))
