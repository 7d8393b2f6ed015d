"""ESP32 family: the ring owns a flash partition of its own."""

import machine
from esp32 import Partition

from fieldpost.errors import ConfigError
from fieldpost.ports.block_region import BlockRegion
from fieldpost.ports.board import Board

_BLOCKS = 4  # ioctl numbers of MicroPython's block devices
_ENCRYPTED_UNIT_BYTES = 32  # ESP-IDF, flash encryption: the original ESP32 writes rows of 32 bytes
_UNIT_BYTES = 4


class Port(Board):
    """The hardware of an ESP32 board."""

    wifi_reconnects = True

    def region(self):
        """Return the region of the partition that the configuration's `ring.label` names.

        Raises ConfigError if the board was not prepared with one.
        """
        label = self._config["ring"]["label"]
        found = Partition.find(Partition.TYPE_DATA, label=label)
        if not found:
            raise ConfigError("no flash partition is called %s: prepare the board with `fieldpost flash esp32`" % label)
        partition = found[0]
        unit_bytes = _ENCRYPTED_UNIT_BYTES if partition.info()[5] else _UNIT_BYTES
        return BlockRegion(partition, range(partition.ioctl(_BLOCKS, 0)), unit_bytes)

    def reset_cause(self):
        """Return why this boot began: one of records.schema.CAUSES."""
        return {
            machine.PWRON_RESET: "power",
            machine.WDT_RESET: "watchdog",
            machine.HARD_RESET: "reset",
            machine.SOFT_RESET: "soft",
            machine.DEEPSLEEP_RESET: "sleep",
        }.get(machine.reset_cause(), "unknown")
