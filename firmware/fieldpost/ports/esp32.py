"""ESP32 family: the ring owns a flash partition of its own, or lives in files where there is none."""

import machine
from esp32 import Partition

from fieldpost.errors import ConfigError
from fieldpost.limits import GROUP_RECORDS
from fieldpost.ports.block_region import BlockRegion
from fieldpost.ports.board import Board

_BLOCKS = 4  # ioctl numbers of MicroPython's block devices


class Port(Board):
    """The hardware of an ESP32 board."""

    wifi_reconnects = True

    def region(self):
        """Return the region of the partition that the configuration's `ring.label` names; without it, of files.

        Raises ConfigError if the partition cannot hold a ring, or the file system has no room.
        """
        ring = self._config["ring"]
        if ring["kind"] == "files":
            return self.files_region()
        found = Partition.find(Partition.TYPE_DATA, label=ring["label"])
        if not found:
            raise ConfigError(
                "no flash partition is called %s: prepare the board with `fieldpost flash esp32`, or set ring.kind to "
                '"files" and lose up to %d readings at a power cut' % (ring["label"], GROUP_RECORDS)
            )
        partition = found[0]
        if partition.info()[5]:
            # Erased flash is decrypted too, and reads as anything (ESP-IDF, Flash Encryption, "Limitations").
            raise ConfigError(
                "partition %s is encrypted, where erased flash cannot be told from data: take the flag `encrypted` "
                "off its row in the partition table" % ring["label"]
            )
        return BlockRegion(partition, range(partition.ioctl(_BLOCKS, 0)), ring["unit_bytes"])

    def reset_cause(self):
        """Return why this boot began: one of records.schema.CAUSES."""
        return {
            machine.PWRON_RESET: "power",
            machine.WDT_RESET: "watchdog",
            machine.HARD_RESET: "reset",
            machine.SOFT_RESET: "soft",
            machine.DEEPSLEEP_RESET: "sleep",
        }.get(machine.reset_cause(), "unknown")
