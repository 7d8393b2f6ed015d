"""Hardware below the driver: flash, sensor, pins, terminal and power switch of an emulated board."""

import sys

# The flash model alone is portable; what surrounds it needs CPython.
if sys.implementation.name != "micropython":
    from host_tools.emulator.board import EmulatedBoard as EmulatedBoard
    from host_tools.emulator.shape import BoardShape as BoardShape
    from host_tools.emulator.shape import I2cBus as I2cBus
    from host_tools.emulator.shape import Partition as Partition
