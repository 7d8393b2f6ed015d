"""Which devices a fleet has: names from a pattern, or rows of a CSV file."""

import csv
import re
import string
from dataclasses import dataclass
from pathlib import Path

from host_tools.errors import UserError

# What the agent accepts as its name, fieldpost.config: the stricter of its rule and IoT Hub's.
_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_COUNT_MAX = 10_000
_COLUMNS = ("device", "board", "port", "drive", "firmware")


@dataclass(frozen=True)
class Row:
    """One device of a fleet; what the file leaves open is None."""

    device: str
    board: str | None = None
    port: str | None = None
    drive: Path | None = None
    firmware: Path | None = None


def check_name(device: str) -> str:
    """Return `device` if it can be the name of a device. UserError if not."""
    if not _NAME.fullmatch(device):
        raise UserError(f"'{device}' cannot be the name of a device: use up to 64 of a-z, 0-9, '-', '_'")
    return device


def from_pattern(pattern: str, count: int, first: int = 1) -> list[str]:
    """Return `count` names: "shed-{:03}" gives shed-001, shed-002 and so on. UserError if the pattern gives none."""
    if not 1 <= count <= _COUNT_MAX:
        raise UserError(f"--count {count}: expected 1 to {_COUNT_MAX}")
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(pattern) if field is not None]
        if fields != [""]:
            raise ValueError
        names = [pattern.format(number) for number in range(first, first + count)]
    except (ValueError, IndexError, KeyError):
        raise UserError(f"'{pattern}' is no pattern: write it like shed-{{:03}}, with one number in it") from None
    return [check_name(name) for name in names]


def read_csv(path: Path) -> list[Row]:
    """Return the rows of a CSV file with a header; `device` is needed, other columns are board, port, drive, firmware.

    Paths are relative to the file. UserError names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            others = ", ".join(_COLUMNS[1:])
            unknown = set(reader.fieldnames or ()) - set(_COLUMNS)
            if "device" not in (reader.fieldnames or ()) or unknown:
                raise UserError(f"{path}, line 1: expected a header with device, and perhaps {others}, between commas")
            rows = []
            seen: set[tuple[str, object]] = set()
            for values in reader:
                rows.append(_row(path, reader.line_num, values))
                _check_unique(f"{path}, line {reader.line_num}", rows[-1], seen)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no CSV file in UTF-8: {error}") from error
    if not rows:
        raise UserError(f"{path} has no rows below its header: write one for each device")
    return rows


def _row(path: Path, line: int, values: dict[str | None, str | None]) -> Row:
    if None in values or None in values.values():
        raise UserError(f"{path}, line {line}: it has not as many fields as the header")
    given = {str(key): value.strip() or None for key, value in values.items() if isinstance(value, str)}
    try:
        device = check_name(given.pop("device", None) or "")
    except UserError as error:
        raise UserError(f"{path}, line {line}: {error}") from None
    drive, firmware = given.get("drive"), given.get("firmware")
    return Row(
        device,
        given.get("board"),
        given.get("port"),
        None if drive is None else path.parent / drive,
        None if firmware is None else path.parent / firmware,
    )


def _check_unique(where: str, row: Row, seen: set[tuple[str, object]]) -> None:
    for what in ("device", "port", "drive"):
        value = getattr(row, what)
        if value is not None and (what, value) in seen:
            raise UserError(f"{where}: {what} {value} stands there twice")
        seen.add((what, value))
