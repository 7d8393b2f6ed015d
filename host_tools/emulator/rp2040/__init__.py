"""A Pico W on which the official firmware itself runs, instruction by instruction: the optional engine rp2040py."""

from host_tools.emulator.rp2040.board import PATIENCE, SSID, FirmwareBoard
from host_tools.emulator.rp2040.engine import check_engine, run
from host_tools.emulator.rp2040.quick import engine_room

__all__ = ["PATIENCE", "SSID", "FirmwareBoard", "check_engine", "engine_room", "run"]
