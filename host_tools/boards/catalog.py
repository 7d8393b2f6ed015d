"""Finds and checks board files.

A message names the file, the key and what is expected:

    boards/pico_w/board.toml: pins.relay.gpio is 64: expected an integer from 0 to 63
"""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fieldpost.config import check_pin, pin_shape
from fieldpost.errors import Mismatch
from fieldpost.limits import (
    JOURNAL_SECTORS_MIN,
    PIN_NAME_CHARS_MAX,
    PINS_MAX,
    RING_SECTORS_MAX,
    URGENT_SECTORS_MIN,
)
from fieldpost.shapes import Choice, Fields, Integer, ListOf, MapOf, Optional, Text, mismatch, name

from host_tools.boards.board import SECTOR_BYTES, Board, Partition, Storage
from host_tools.errors import UserError
from host_tools.shipped import shipped

BOARDS = shipped("boards")
_FILE = "board.toml"
_FLASH_BYTES_MAX = 1 << 27
_HEAP_BYTES_MIN = 32_768  # below this the interpreter cannot hold the agent

_SECTORS = f"sectors of {SECTOR_BYTES} bytes"
_gpio = Integer(0, 63)
_in_flash = Integer(0, _FLASH_BYTES_MAX, "bytes")
_PARTITION = Fields(
    ("label", Text(16, "a partition's name")),
    ("type", Choice("app", "data")),
    ("offset", _in_flash),
    ("bytes", _in_flash),
)
_RING = Fields(
    ("kind", Choice("partition", "lent", "file")),
    ("label", Optional(Text(16, "a partition's name"))),
    ("path", Optional(Text(255, "a path"))),
    ("sectors", Integer(16, RING_SECTORS_MAX, _SECTORS)),
    ("journal_sectors", Integer(JOURNAL_SECTORS_MIN, 64, _SECTORS)),
    ("urgent_sectors", Integer(URGENT_SECTORS_MIN, 64, _SECTORS)),
)
_BOARD = Fields(
    ("title", Text(64, "a title")),
    ("port", Choice("esp32", "rp2", "linux")),
    ("heap_bytes", Optional(Integer(_HEAP_BYTES_MIN, 1 << 24, "bytes"))),
    ("flash_bytes", Optional(Integer(1 << 20, _FLASH_BYTES_MAX, "bytes"))),
    ("watchdog_ms", Integer(2000, 60_000, "milliseconds")),
    ("twin", Optional(Choice(True, False), True)),
    ("reserved_gpios", Optional(ListOf(_gpio, 64), ())),
    ("input_only_gpios", Optional(ListOf(_gpio, 64), ())),
    ("partitions", Optional(ListOf(_PARTITION, 16), ())),
    ("romfs_bytes", Optional(_in_flash)),
    ("storage", Optional(Fields(("offset", _in_flash), ("bytes", _in_flash)))),
    ("ring", _RING),
    (
        "i2c",
        Fields(
            ("id", Integer(0, 7)),
            ("scl", _gpio),
            ("sda", _gpio),
            ("frequency_hz", Integer(10_000, 1_000_000)),
        ),
    ),
    ("sensors", ListOf(Fields(("driver", Choice("bme280")), ("address", Choice(118, 119))), 1, 1)),
    (
        "status_led",
        Optional(Fields(("gpio", Choice("LED", *range(64))), ("inverted", Optional(Choice(True, False), False)))),
    ),
    ("pins", MapOf(name(PIN_NAME_CHARS_MAX), pin_shape(), PINS_MAX)),
)


def known(boards: Path = BOARDS) -> list[str]:
    """Return the names of all boards, sorted."""
    return sorted(path.parent.name for path in boards.glob(f"*/{_FILE}"))


def load(name: str, boards: Path = BOARDS) -> Board:
    """Return the board called `name`. UserError lists the known ones, or says what is wrong in its file."""
    if name not in known(boards):
        raise UserError(f"board '{name}' is not known: choose one of {', '.join(known(boards))}")
    where = f"boards/{name}/{_FILE}"
    try:
        values = tomllib.loads((boards / name / _FILE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{where} cannot be read as TOML: {error}") from error
    try:
        checked = _BOARD.check(values, "")
        _check_memory(checked)
        _check_gpios(checked)
    except Mismatch as error:
        raise UserError(f"{where}: {error}") from error
    return _board(name, checked)


def _check_memory(board: dict[str, Any]) -> None:
    """Check what the regions in flash and the ring have to do with the port and with one another."""
    port = board["port"]
    Choice({"esp32": "partition", "rp2": "lent", "linux": "file"}[port]).check(board["ring"]["kind"], "ring.kind")
    if port == "linux":
        if board["ring"]["path"] is None:
            raise Mismatch("ring.path is missing: expected the path of a file")
        return
    for key in ("heap_bytes", "flash_bytes"):
        if board[key] is None:
            raise Mismatch(f"{key} is missing: expected a number of bytes, as the port is {port}")
    ring = board["ring"]
    ring_bytes = ring["sectors"] * SECTOR_BYTES
    if ring["urgent_sectors"] == ring["journal_sectors"]:
        # In an image of lent blocks a ring is known by its size alone.
        raise mismatch("ring.urgent_sectors", ring["urgent_sectors"], "another number than ring.journal_sectors")
    if port == "rp2":
        if board["storage"] is None:
            raise Mismatch("storage is missing: expected the part of the flash that the file system has")
        _check_regions([("storage", board["storage"])], board["flash_bytes"])
        half_sectors = board["storage"]["bytes"] // SECTOR_BYTES // 2
        if ring_bytes > board["storage"]["bytes"] // 2:
            raise mismatch("ring.sectors", board["ring"]["sectors"], f"at most half of the storage, {half_sectors}")
        return
    regions = {partition["label"]: partition for partition in board["partitions"]}
    _check_regions(((f"partitions.{label}", partition) for label, partition in regions.items()), board["flash_bytes"])
    label = board["ring"]["label"]
    if label not in regions:
        raise mismatch("ring.label", label, f"one of the partitions: {', '.join(regions)}")
    if regions[label]["bytes"] != ring_bytes:
        sectors = regions[label]["bytes"] // SECTOR_BYTES
        raise mismatch("ring.sectors", board["ring"]["sectors"], f"{sectors}, as partition {label} has")
    if "vfs" not in regions:
        raise Mismatch("partitions has no vfs: expected one, as MicroPython keeps its files there")
    romfs_bytes = board["romfs_bytes"]
    if romfs_bytes is not None:
        half = regions["factory"]["bytes"] // 2 if "factory" in regions else 0
        if romfs_bytes % SECTOR_BYTES or not 0 < romfs_bytes <= half:
            raise mismatch("romfs_bytes", romfs_bytes, f"whole {_SECTORS}, at most half of factory, {half}")


def _check_regions(regions: Iterable[tuple[str, dict[str, int]]], flash_bytes: int) -> None:
    """Check that regions are whole sectors, inside the flash and apart from one another."""
    end = 0
    previous = "the start of the flash"
    for where, region in sorted(regions, key=lambda named: named[1]["offset"]):
        for key in ("offset", "bytes"):
            if region[key] % SECTOR_BYTES:
                raise mismatch(f"{where}.{key}", region[key], f"a multiple of {SECTOR_BYTES}")
        if region["offset"] < end:
            raise mismatch(f"{where}.offset", region["offset"], f"at least {end}, where {previous} ends")
        end = region["offset"] + region["bytes"]
        previous = where
        if end > flash_bytes:
            raise mismatch(
                f"{where}.bytes", region["bytes"], f"at most {flash_bytes - region['offset']}, the flash ends"
            )


def _check_gpios(board: dict[str, Any]) -> None:
    """Check that every pin can be what it is said to be, and has a GPIO for itself."""
    owners = {gpio: "reserved_gpios" for gpio in board["reserved_gpios"]}
    uses = [("i2c.scl", board["i2c"]["scl"], True), ("i2c.sda", board["i2c"]["sda"], True)]
    for pin_name, pin in board["pins"].items():
        check_pin(board["pins"], pin_name)
        uses.append((f"pins.{pin_name}.gpio", pin["gpio"], pin["direction"] in ("output", "pwm")))
    if board["status_led"] is not None:
        uses.append(("status_led.gpio", board["status_led"]["gpio"], True))
    for where, gpio, drives in uses:
        if gpio in owners:
            raise mismatch(where, gpio, f"one that is free; {owners[gpio]} has it")
        if drives and gpio in board["input_only_gpios"]:
            raise mismatch(where, gpio, "one that can be an output")
        owners[gpio] = where


def _board(name: str, checked: dict[str, Any]) -> Board:
    storage = checked["storage"]
    return Board(
        name=name,
        title=checked["title"],
        port=checked["port"],
        heap_bytes=checked["heap_bytes"],
        flash_bytes=checked["flash_bytes"],
        watchdog_ms=checked["watchdog_ms"],
        twin=checked["twin"],
        partitions=tuple(
            Partition(row["label"], row["type"], row["offset"], row["bytes"]) for row in checked["partitions"]
        ),
        storage=Storage(storage["offset"], storage["bytes"]) if storage else None,
        ring=_given(checked["ring"]),
        i2c=checked["i2c"],
        sensors=checked["sensors"],
        pins={pin_name: _given(pin) for pin_name, pin in checked["pins"].items()},
        status_led=checked["status_led"],
        romfs_bytes=checked["romfs_bytes"],
    )


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value: config.json leaves the others out."""
    return {key: value for key, value in fields.items() if value is not None}
