"""What an emulated board is made of: chip, heap, flash layout, buses. Data only."""

from dataclasses import dataclass
from typing import Literal

from host_tools.errors import UserError

_SECTOR_BYTES = 4096
_KIB = 1024

TYPE_APP = 0
TYPE_DATA = 1


@dataclass(frozen=True)
class Partition:
    """One row of an ESP32's partition table (ESP-IDF, "Partition Tables"). offset and size: bytes."""

    label: str
    type: int
    subtype: int
    offset: int
    size: int


@dataclass(frozen=True)
class I2cBus:
    """Which bus number of the chip is wired, and to which GPIOs."""

    id: int
    scl: int
    sda: int


@dataclass(frozen=True)
class BoardShape:
    """One kind of board.

    kind: "esp32" or "rp2", which decides the modules that programs find and how the chip behaves.
    heap_bytes: MicroPython's heap, for the board's programs alone. word_bytes: of the interpreter that runs them; where
    words have 8 bytes and a board's have 4, the same program needs nearly twice as much.
    partitions: regions of flash that programs may use. rp2 has exactly one, called `storage`; esp32 needs `vfs`.
    The rest of the flash holds the firmware: it reads as zeros.
    bme280_address: of the sensor on the bus; None for no sensor.
    inputs: GPIO number to the level it starts with. has_romfs: whether its firmware mounts what is in partition `romfs`
    (MicroPython, "Working with ROMFS"); esp32 only.
    """

    kind: Literal["esp32", "rp2"]
    heap_bytes: int
    flash_bytes: int
    partitions: tuple[Partition, ...]
    i2c: I2cBus
    bme280_address: int | None = 0x77
    inputs: tuple[tuple[int, int], ...] = ()
    word_bytes: int = 8
    has_romfs: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("esp32", "rp2"):
            raise UserError(f"board kind {self.kind!r}: expected esp32 or rp2")
        needed = "vfs" if self.kind == "esp32" else "storage"
        if needed not in (row.label for row in self.partitions):
            raise UserError(f"a board of kind {self.kind} needs a flash region called {needed}")
        end = 0
        for row in sorted(self.partitions, key=lambda row: row.offset):
            if row.offset % _SECTOR_BYTES or row.size % _SECTOR_BYTES or row.size <= 0:
                raise UserError(f"flash region {row.label}: expected whole sectors of {_SECTOR_BYTES} bytes")
            if row.offset < end:
                raise UserError(f"flash region {row.label} at 0x{row.offset:x} overlaps the one before it")
            end = row.offset + row.size
        if end > self.flash_bytes:
            raise UserError(f"flash regions end at 0x{end:x}, behind the flash of 0x{self.flash_bytes:x} bytes")

    def partition(self, label: str) -> Partition:
        """Return the region called `label`; KeyError if there is none."""
        for row in self.partitions:
            if row.label == label:
                return row
        raise KeyError(label)

    @classmethod
    def esp32(
        cls,
        heap_bytes: int = 160 * _KIB,
        flash_bytes: int = 4096 * _KIB,
        queue_bytes: int = 256 * _KIB,
        i2c: I2cBus = I2cBus(0, scl=22, sda=21),
        bme280_address: int | None = 0x77,
    ) -> "BoardShape":
        """Return an ESP32 with a `queue` partition behind the application, and `vfs` behind that.

        The application ends where MicroPython's table of a 4 MiB image says, so that smaller flashes
        (for fleets) shrink it.
        """
        app_bytes = min(0x1F0000, flash_bytes // 4)
        queue_offset = 0x10000 + app_bytes
        vfs_offset = queue_offset + queue_bytes
        rows = (
            Partition("nvs", TYPE_DATA, 0x02, 0x9000, 0x6000),
            Partition("phy_init", TYPE_DATA, 0x01, 0xF000, 0x1000),
            Partition("factory", TYPE_APP, 0x00, 0x10000, app_bytes),
            Partition("queue", TYPE_DATA, 0x81, queue_offset, queue_bytes),
            Partition("vfs", TYPE_DATA, 0x81, vfs_offset, flash_bytes - vfs_offset),
        )
        return cls("esp32", heap_bytes, flash_bytes, rows, i2c, bme280_address)

    @classmethod
    def pico_w(
        cls,
        heap_bytes: int = 180 * _KIB,
        flash_bytes: int = 2048 * _KIB,
        storage_bytes: int = 848 * _KIB,
        i2c: I2cBus = I2cBus(0, scl=5, sda=4),
        bme280_address: int | None = 0x77,
    ) -> "BoardShape":
        """Return a Pico W: the last 848 KiB of its flash are MicroPython's storage."""
        rows = (Partition("storage", TYPE_DATA, 0x81, flash_bytes - storage_bytes, storage_bytes),)
        return cls("rp2", heap_bytes, flash_bytes, rows, i2c, bme280_address)
