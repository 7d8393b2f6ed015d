"""Boards as they leave the factory: flash without a program, a boot loader in ROM, one cable."""

from host_tools.emulator.bare.esp32 import BareEsp32
from host_tools.emulator.bare.kinds import Bare, new_board, stand_in_firmware

__all__ = ["Bare", "BareEsp32", "new_board", "stand_in_firmware"]
