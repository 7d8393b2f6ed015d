"""Boards as they leave the factory: flash without a program, a boot loader in ROM, one cable."""

from host_tools.emulator.bare.board import BareBoard
from host_tools.emulator.bare.esp32 import BareEsp32
from host_tools.emulator.bare.kinds import KINDS, check_kind, new_board, stand_in_firmware
from host_tools.emulator.bare.pico import BarePico

__all__ = ["KINDS", "BareBoard", "BareEsp32", "BarePico", "check_kind", "new_board", "stand_in_firmware"]
