"""The boot loader in an ESP32's mask ROM, as Espressif's esptool meets it, over an image of the flash."""

from host_tools.emulator.rom_loader.chips import CHIPS, Chip
from host_tools.emulator.rom_loader.loader import RomLoader

__all__ = ["CHIPS", "Chip", "RomLoader"]
