"""The USB drive that an RP2040 or RP2350 shows in its boot loader, as a folder over an image of the flash."""

from host_tools.emulator.bootsel.chips import CHIPS, RpChip
from host_tools.emulator.bootsel.drive import BootselDrive

__all__ = ["CHIPS", "BootselDrive", "RpChip"]
