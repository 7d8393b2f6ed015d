"""The boards of a fleet: one is flashed as always, and its image stamped with the others' names and keys.

Stamping is how boards are made in numbers: names and keys have one length, and littlefs keeps no checksum over a file's
data.
"""

import base64
import dataclasses
import json
import ssl
from asyncio import to_thread
from collections.abc import Callable
from pathlib import Path
from typing import Any

from host_tools.boards import Board
from host_tools.emulator.board import EmulatedBoard
from host_tools.emulator.flash_file import IMAGE, describe_image
from host_tools.emulator.shape import BoardShape
from host_tools.errors import UserError
from host_tools.flash import install
from host_tools.hub import Hub
from host_tools.lab.hardware import board_shape
from host_tools.toolchain import firmware

TEMPLATE = 0
_SSID = "bench"
# Room for the agent's files. A fleet's flash is written whole before it begins.
_STORAGE_BYTES = 0x8_0000

Report = Callable[[str], object]


async def make_devices(data: Path, count: int) -> list[str]:
    """Make devices in the hub's folder and return their keys."""
    hub = Hub(data)
    await hub.start()
    try:
        return [hub.devices.create(name_of(number)).primary_key for number in range(count)]
    finally:
        await hub.stop()


async def flash_template(
    folder: Path, spec: Board, program: Path, port: int, key: str, rhythm: dict[str, Any], report: Report
) -> None:
    """Flash the board that the others are stamped from. rhythm: keys of its config.json; the hub is at `port`."""
    home = home_of(folder, TEMPLATE)
    name = name_of(TEMPLATE)
    config = spec.device_config(
        device=name,
        hub_host="localhost",
        hub_port=port,
        status_interval_ms=0,  # nobody looks at their screens
        idle_wait_ms=1000,  # nor types Ctrl-C: turning ten times a second is most of what an idle board costs
        wifi=[{"ssid": _SSID}],
        **rhythm,
    )
    ca_der = base64.b64encode(_ca_der(folder / "hub" / "ca.pem")).decode()
    identity: dict[str, Any] = {
        "device_id": name,
        "key": key,
        "ca_der": ca_der,
        "wifi_passwords": {_SSID: "any"},
    }
    board = EmulatedBoard(home, name, shape_of(spec), program, ("127.0.0.1", port))
    try:
        await board.power_on()
        tree = await to_thread(firmware.build, folder / "firmware", report)
        await to_thread(install, str(board.serial_port), tree, config, identity, report)
    finally:
        await board.close()


def shape_of(spec: Board) -> BoardShape:
    """Return the board's shape with a file system no larger than it needs, which lies last."""
    shape = board_shape(spec)
    storage = shape.partition("vfs")
    small = dataclasses.replace(storage, size=min(storage.size, _STORAGE_BYTES))
    rows = tuple(small if row is storage else row for row in shape.partitions)
    return dataclasses.replace(shape, partitions=rows, flash_bytes=small.offset + small.size)


def stamp(folder: Path, shape: BoardShape, keys: list[str]) -> None:
    """Write the images of all boards but the first from that of the first."""
    image = bytearray((home_of(folder, TEMPLATE) / IMAGE).read_bytes())
    queue = shape.partition("queue")
    # The first one may have begun its ring before its power went.
    image[queue.offset : queue.offset + queue.size] = b"\xff" * queue.size
    name, key = name_of(TEMPLATE).encode(), json.dumps(keys[TEMPLATE]).encode()
    places = {part: _places(image, part) for part in (name, key)}
    if not all(places.values()):
        raise UserError("name and key cannot be found in the flash of the first board: the file system has changed")
    for number in range(1, len(keys)):
        home = home_of(folder, number)
        home.mkdir(parents=True, exist_ok=True)
        for part, written in ((name, name_of(number).encode()), (key, json.dumps(keys[number]).encode())):
            assert len(part) == len(written)
            for place in places[part]:
                image[place : place + len(part)] = written
        path = home / IMAGE
        path.touch(mode=0o600)
        with path.open("r+b") as file:
            file.truncate(shape.flash_bytes)
            for row in shape.partitions:
                if row.label != "factory":  # the firmware's share is empty, and stays a hole
                    file.seek(row.offset)
                    file.write(memoryview(image)[row.offset : row.offset + row.size])
        describe_image(home, shape)


def _places(image: bytearray, part: bytes) -> list[int]:
    found, at = [], image.find(part)
    while at >= 0:
        found.append(at)
        at = image.find(part, at + 1)
    return found


def _ca_der(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text(encoding="ascii"))


def name_of(number: int) -> str:
    """Return the name of a board; 0 is the one that the others are stamped from."""
    return f"board-{number:04}"


def home_of(folder: Path, number: int) -> Path:
    """Return where a board keeps its flash."""
    return folder / "boards" / name_of(number)
