"""What a board is, once its file has been found to be right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fieldpost.config import check_config
from fieldpost.errors import ConfigError

from host_tools.errors import UserError

SECTOR_BYTES = 4096
ROMFS = "romfs"  # the label by which MicroPython finds it (ports/esp32/esp32_partition.c)
_FACTORY = "factory"


@dataclass(frozen=True)
class Partition:
    """A row of an ESP32's partition table. offset and size are in bytes from the start of the flash."""

    label: str
    type: str
    offset: int
    size: int


@dataclass(frozen=True)
class Storage:
    """The part of a Pico's flash that belongs to the file system. In bytes from the start of the flash."""

    offset: int
    size: int


@dataclass(frozen=True)
class Board:
    """One kind of board. name is the folder it was read from; port is esp32, rp2 or linux.

    twin: whether there is room for a twin. heap_bytes and flash_bytes are None where an operating system owns them.
    partitions is empty but for port esp32, storage is None but for port rp2. ring, i2c, sensors, pins and
    status_led are as config.json wants them. romfs_bytes: what a firmware that runs code in ROMFS leaves for it; None
    where no firmware does.
    """

    name: str
    title: str
    port: str
    heap_bytes: int | None
    flash_bytes: int | None
    watchdog_ms: int
    twin: bool
    partitions: tuple[Partition, ...]
    storage: Storage | None
    ring: Mapping[str, Any]
    i2c: Mapping[str, Any]
    sensors: Sequence[Mapping[str, Any]]
    pins: Mapping[str, Mapping[str, Any]]
    status_led: Mapping[str, Any] | None = None
    romfs_bytes: int | None = None

    def in_shape_of(self, other: "Board") -> "Board":
        """Return this board with the hardware of `other`, pins included: how an emulator poses as a board."""
        return replace(other, name=self.name)

    def with_romfs(self) -> "Board":
        """Return this board with a partition for ROMFS: the end of the application's, so that no other one moves.

        UserError if its board file leaves no room for one.
        """
        if self.romfs_bytes is None:
            raise UserError(f"{self.title} has no place for ROMFS: boards/{self.name}/board.toml has no romfs_bytes")
        rows: list[Partition] = []
        for row in self.partitions:
            if row.label == _FACTORY:
                left = row.size - self.romfs_bytes
                rows += replace(row, size=left), Partition(ROMFS, "data", row.offset + left, self.romfs_bytes)
            else:
                rows.append(row)
        return replace(self, partitions=tuple(rows))

    def partition(self, label: str) -> Partition:
        """Return the partition called `label`. KeyError if there is none."""
        for partition in self.partitions:
            if partition.label == label:
                return partition
        raise KeyError(label)

    def device_config(
        self,
        device: str,
        hub_host: str | None,
        hub_port: int = 8883,
        hub: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> dict[str, Any]:
        """Return the config.json of a device on this board, checked as the device itself will check it.

        device: its name at the hub. hub_host: None for a device that is assigned one. hub: other keys of `hub`;
        settings: other keys of config.json, such as sample_interval_ms or wifi; what is not given, the device fills
        in. UserError names the first key that is wrong.
        """
        config: dict[str, Any] = {
            "device": device,
            "board": self.name,
            "port": self.port,
            "hub": {
                "dialect": "azure",
                **({} if hub_host is None else {"host": hub_host}),
                "port": hub_port,
                "twin": self.twin,
                **(hub or {}),
            },
            "ring": dict(self.ring),
            "i2c": dict(self.i2c),
            "sensors": [dict(sensor) for sensor in self.sensors],
            "pins": {name: dict(pin) for name, pin in self.pins.items()},
            "watchdog_ms": self.watchdog_ms,
            **({} if self.status_led is None else {"status_led": dict(self.status_led)}),
            **settings,
        }
        try:
            check_config(config)
        except ConfigError as error:
            raise UserError(str(error)) from error
        return config
