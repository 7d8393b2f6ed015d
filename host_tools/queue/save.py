"""Records of a ring to JSON Lines or CSV."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TextIO

from host_tools.errors import UserError

Format = Literal["jsonl", "csv"]
# What every record has comes first in a table; the quantities of its readings follow in the order of their coming.
_FIRST_COLUMNS = ("n", "t", "boot", "up", "event")


def save(objects: list[dict[str, Any]], form: Format, path: Path | None) -> None:
    """Write the objects to `path`, whole or not at all; None writes to stdout. UserError if it cannot be written."""
    with _opened(path) as file:
        if form == "jsonl":
            for found in objects:
                file.write(json.dumps(found, ensure_ascii=False) + "\n")
            return
        columns = dict.fromkeys(_FIRST_COLUMNS) | dict.fromkeys(key for found in objects for key in found)
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        for found in objects:
            writer.writerow({key: _cell(value) for key, value in found.items()})


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value


@contextmanager
def _opened(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    unfinished = path.with_name(path.name + ".part")
    try:
        # Readings may tell who is at home: as private as the ring's file is.
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            yield file
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
