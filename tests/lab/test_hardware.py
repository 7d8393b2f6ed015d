"""Board files in the emulator's words, and a sensor that is pulled between two readings."""

import pytest

from host_tools.emulator.i2c import I2cWires, NotAcknowledged
from host_tools.errors import UserError
from host_tools.lab.hardware import board_in_shape, board_shape, unplug

FORCED = bytes((0xF4, 0x25))
SLEEP = bytes((0xF4, 0x24))
ADDRESS = 0x77


class Sensor:
    """Counts what it is asked."""

    def __init__(self):
        self.writes = []

    def write(self, data):
        self.writes.append(data)

    def read(self, length):
        return bytes(length)


@pytest.mark.parametrize(("shape", "kind"), [(None, "esp32"), ("esp32", "esp32"), ("pico_w", "rp2")])
def test_every_shape_becomes_hardware_of_its_kind(shape, kind):
    hardware = board_shape(board_in_shape("emulator", shape))
    assert hardware.kind == kind
    assert hardware.partition("vfs" if kind == "esp32" else "storage").size > 0


def test_only_an_esp32_has_a_place_for_romfs():
    hardware = board_shape(board_in_shape("emulator", "esp32", True))
    assert hardware.has_romfs and hardware.partition("romfs").size == 192 * 1024
    assert not board_shape(board_in_shape("emulator", "esp32")).has_romfs
    with pytest.raises(UserError, match="has no place for ROMFS"):
        board_in_shape("emulator", "pico_w", True)


def test_a_board_that_is_a_computer_is_no_shape():
    with pytest.raises(UserError, match="raspberry_pi"):
        board_in_shape("emulator", "raspberry_pi")


def test_an_unplugged_sensor_finishes_the_reading_under_way():
    wires, sensor = I2cWires(), Sensor()
    wires.attach(ADDRESS, sensor)
    wires.transfer(ADDRESS, FORCED, 0)
    unplug(wires, ADDRESS, sensor)
    assert wires.transfer(ADDRESS, b"\xf7", 8) == bytes(8)
    wires.transfer(ADDRESS, SLEEP, 0)
    with pytest.raises(NotAcknowledged):
        wires.transfer(ADDRESS, FORCED, 0)
    with pytest.raises(NotAcknowledged):
        wires.transfer(ADDRESS, b"\xd0", 1)
    assert sensor.writes == [FORCED, b"\xf7", SLEEP]
