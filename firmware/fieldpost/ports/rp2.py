"""Raspberry Pi Pico W: the ring lives in blocks that the file system lends.

The stock firmware gives all storage to littlefs and formats it anew if its size ever changes, so there is
no room beside it. See `lent_blocks`.
"""

import machine
import rp2
from micropython import const

from fieldpost.ports.block_region import BlockRegion
from fieldpost.ports.board import Board
from fieldpost.ports.lent_blocks import lend

_MAPPED_AT = const(0x1000_0000)  # XIP_BASE ("RP2040 Datasheet", section 2.2; "RP2350 Datasheet", section 2.2)


class Port(Board):
    """The hardware of a Pico W or Pico 2 W."""

    def region(self):
        """Return the region made of the configuration's `ring.sectors` blocks, lent on first use, or of files."""
        ring = self._config["ring"]
        if ring["kind"] == "files":
            return self.files_region()
        flash = rp2.Flash()
        return BlockRegion(flash, lend(flash, ring["sectors"]), ring["unit_bytes"], whole_pages=True)

    def move_to_flash(self, is_first):
        """Take the bytecode of the loaded modules off the heap (see code_in_flash), and all else that they do not
        change, if this is the first time since the start.

        OSError or ConfigError if there is no room for it in flash, or the firmware was installed without its table.
        """
        from fieldpost.ports.code_in_flash import CodeInFlash

        code = CodeInFlash(rp2.Flash(), _MAPPED_AT)
        code.move_code()
        if is_first:
            if code.is_new():
                self.reset()  # it starts again with a heap as all later starts will have it
            self._kept = code.move_objects()

    def reset_cause(self):
        """Return why this boot began: one of records.schema.CAUSES.

        The RP2040 resets through its watchdog for machine.reset() too, and cannot tell the two apart.
        """
        return "power" if machine.reset_cause() == machine.PWRON_RESET else "watchdog"
