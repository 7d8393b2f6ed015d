"""From a board's description to emulated hardware, and what a lab does to that hardware."""

import errno
from typing import Any

from fieldpost.ring.layout import divide

from host_tools import boards
from host_tools.audit.lent import find_sectors
from host_tools.boards import ROMFS, Board
from host_tools.emulator.board import EmulatedBoard
from host_tools.emulator.i2c import Device, I2cWires, NotAcknowledged
from host_tools.emulator.shape import TYPE_APP, TYPE_DATA, BoardShape, I2cBus, Partition
from host_tools.errors import UserError

# Of a board; nearly all that a heap holds is words, so it takes more of it where they are larger.
_BOARD_WORD_BYTES = 4
# ESP-IDF, "Partition Tables", subtypes; MicroPython marks file systems and raw data as FAT.
_SUBTYPES = {"factory": 0x00, "phy_init": 0x01, "nvs": 0x02}
_SUBTYPE_FAT = 0x81

# BST-BME280-DS002 section 5.4.5: ctrl_meas, of which the two low bits are the mode; 00 is sleep.
_CTRL_MEAS = 0xF4
_MODE = 0x03


def board_in_shape(name: str, shape: str | None, has_romfs: bool = False) -> Board:
    """Return the emulated board `name` with the hardware of board `shape`. Raises UserError.

    has_romfs: whether its firmware runs code in ROMFS, and there is a partition for it.
    """
    board = boards.load(name)
    if shape is not None:
        board = board.in_shape_of(boards.load(shape))
    if board.port == "linux":
        raise UserError(f"the emulator cannot take on the shape of {shape}: choose esp32 or pico_w")
    return board.with_romfs() if has_romfs else board


def board_shape(board: Board, word_bytes: int = 8) -> BoardShape:
    """Return the same hardware in the emulator's terms. word_bytes: of the interpreter that will be the board."""
    assert board.heap_bytes is not None and board.flash_bytes is not None
    rows = tuple(
        Partition(
            row.label,
            TYPE_APP if row.type == "app" else TYPE_DATA,
            _SUBTYPES.get(row.label, _SUBTYPE_FAT),
            row.offset,
            row.size,
        )
        for row in board.partitions
    )
    if board.storage is not None:
        rows = (Partition("storage", TYPE_DATA, _SUBTYPE_FAT, board.storage.offset, board.storage.size),)
    return BoardShape(
        kind="rp2" if board.port == "rp2" else "esp32",
        heap_bytes=board.heap_bytes * word_bytes // _BOARD_WORD_BYTES,
        flash_bytes=board.flash_bytes,
        partitions=rows,
        i2c=I2cBus(board.i2c["id"], board.i2c["scl"], board.i2c["sda"]),
        bme280_address=board.sensors[0]["address"],
        word_bytes=word_bytes,
        has_romfs=any(row.label == ROMFS for row in board.partitions),
    )


def ring_regions(emulated: EmulatedBoard, board: Board) -> list[Any]:
    """Return the regions of the rings whose records go to the hub: the urgent ones, then the readings."""
    whole = emulated.queue_region()
    ring = board.ring
    if ring["kind"] == "partition":
        return list(divide(whole, ring["journal_sectors"], ring["urgent_sectors"])[1:])
    assert board.storage is not None
    first = board.storage.offset // whole.sector_bytes
    readings_sectors = ring["sectors"] - ring["journal_sectors"] - ring["urgent_sectors"]
    # The firmware's first sector stands in for what has not been opened yet: it holds no header either.
    return [
        emulated.view([0 if place is None else first + place for place in find_sectors(whole, count)])
        for count in (ring["urgent_sectors"], readings_sectors)
    ]


class Unplugged:
    """A sensor that is taken off the bus between two readings: the one under way is still given.

    Sits on the bus in the sensor's place. A sensor pulled in the middle of a conversion would cost a
    reading, which is true to life and useless to whoever counts readings.
    """

    def __init__(self, sensor: Device) -> None:
        self._sensor = sensor
        self._is_gone = False

    def write(self, data: bytes) -> None:
        """Pass on, until a conversion would begin; nothing answers from then on."""
        begins = len(data) > 1 and data[0] == _CTRL_MEAS and data[1] & _MODE
        if begins or self._is_gone:
            self._is_gone = True
            raise NotAcknowledged(errno.ENODEV)
        self._sensor.write(data)

    def read(self, length: int) -> bytes:
        """Pass on while the sensor is there."""
        if self._is_gone:
            raise NotAcknowledged(errno.ENODEV)
        return self._sensor.read(length)


def unplug(wires: I2cWires, address: int, sensor: Device) -> None:
    """Take the sensor off as soon as no reading is under way."""
    wires.attach(address, Unplugged(sensor))
