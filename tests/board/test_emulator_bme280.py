"""The BME280 model against the datasheet and against Adafruit's driver, which knows nothing of it."""

import asyncio
import importlib.util
from pathlib import Path

import pytest

from host_tools.emulator.bme280 import Bme280
from host_tools.emulator.board import EmulatedBoard
from host_tools.emulator.i2c import I2cWires, NotAcknowledged
from host_tools.lab.hardware import unplug

from .emulator_bench import put, run, running_board

FORCED_ALL_X1 = 0b001_001_01
MEASURING = 0x08


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def read(sensor: Bme280, register: int, length: int = 1) -> bytes:
    sensor.write(bytes([register]))
    return sensor.read(length)


def raw_values(sensor: Bme280) -> tuple[int, int, int]:
    data = read(sensor, 0xF7, 8)
    return int.from_bytes(data[0:3], "big") >> 4, int.from_bytes(data[3:6], "big") >> 4, data[6] << 8 | data[7]


def test_it_wakes_as_the_datasheet_says():
    clock = Clock()
    sensor = Bme280(clock)
    assert read(sensor, 0xD0) == b"\x60"
    assert read(sensor, 0xF3) == b"\x01"  # still copying its calibration
    clock.now_s += 0.003
    assert read(sensor, 0xF3) == b"\x00"
    assert read(sensor, 0xF2, 4) == bytes(4)
    assert raw_values(sensor) == (0x80000, 0x80000, 0x8000)


def test_a_forced_conversion_takes_its_time_and_ends_in_sleep():
    clock = Clock()
    sensor = Bme280(clock)
    clock.now_s += 1
    sensor.write(bytes([0xF2, 1, 0xF4, FORCED_ALL_X1]))
    assert sensor.conversions == 1
    assert read(sensor, 0xF3)[0] & MEASURING
    assert raw_values(sensor) == (0x80000, 0x80000, 0x8000), "results before the conversion was over"
    clock.now_s += 0.0079  # section 9.1: 8 ms typical for 1 x T, 1 x P, 1 x H
    assert read(sensor, 0xF3)[0] & MEASURING
    clock.now_s += 0.0002
    assert not read(sensor, 0xF3)[0] & MEASURING
    assert read(sensor, 0xF4)[0] == FORCED_ALL_X1 & 0xFC
    assert 0x80000 not in raw_values(sensor)


def test_the_room_is_sampled_when_the_conversion_begins():
    clock = Clock()
    sensor = Bme280(clock)
    sensor.write(bytes([0xF4, FORCED_ALL_X1]))
    sensor.temperature_c = 80.0
    clock.now_s += 1
    before = raw_values(sensor)
    sensor.write(bytes([0xF4, FORCED_ALL_X1]))
    clock.now_s += 1
    assert raw_values(sensor)[1] > before[1]


def test_what_is_not_asked_for_reads_as_skipped():
    clock = Clock()
    sensor = Bme280(clock)
    sensor.write(bytes([0xF4, 0b001_000_01]))
    clock.now_s += 1
    pressure, temperature, humidity = raw_values(sensor)
    assert (pressure, humidity) == (0x80000, 0x8000)
    assert temperature != 0x80000


def test_the_humidity_setting_counts_only_from_the_next_write_to_ctrl_meas():
    clock = Clock()
    sensor = Bme280(clock)
    sensor.write(bytes([0xF4, FORCED_ALL_X1]))
    sensor.write(bytes([0xF2, 1]))
    clock.now_s += 1
    assert raw_values(sensor)[2] == 0x8000
    sensor.write(bytes([0xF4, FORCED_ALL_X1]))
    clock.now_s += 1
    assert raw_values(sensor)[2] != 0x8000


def test_normal_mode_goes_on_by_itself_and_counts_no_forced_conversions():
    clock = Clock()
    sensor = Bme280(clock)
    sensor.write(bytes([0xF4, 0b001_001_11]))
    clock.now_s += 1
    cold = raw_values(sensor)[1]
    sensor.temperature_c = 60.0
    clock.now_s += 1
    raw_values(sensor)
    clock.now_s += 1
    assert raw_values(sensor)[1] > cold
    assert sensor.conversions == 0


def test_a_reset_and_a_power_cut_forget_the_settings_but_not_the_count():
    for reset in (lambda sensor: sensor.write(b"\xe0\xb6"), lambda sensor: sensor.power_on()):
        sensor = Bme280(Clock())
        sensor.write(bytes([0xF2, 5, 0xF4, FORCED_ALL_X1]))
        reset(sensor)
        assert read(sensor, 0xF2, 3)[2] == 0
        assert sensor.conversions == 1


def test_an_absent_address_and_a_stuck_bus_are_not_acknowledged():
    wires = I2cWires()
    wires.attach(0x77, Bme280())
    with pytest.raises(NotAcknowledged, match="ENODEV"):
        wires.transfer(0x76, b"", 0)
    assert wires.transfer(0x77, b"\xd0", 1) == b"\x60"
    wires.is_stuck = True
    with pytest.raises(NotAcknowledged, match="ETIMEDOUT"):
        wires.transfer(0x77, b"\xd0", 1)
    wires.is_stuck = False
    wires.detach(0x77)
    with pytest.raises(NotAcknowledged, match="ENODEV"):
        wires.transfer(0x77, b"\xd0", 1)


BUSIO = """
class SPI:
    pass

class I2C:
    def __init__(self, i2c):
        self._i2c = i2c
    def try_lock(self):
        return True
    def unlock(self):
        pass
    def writeto(self, address, buffer, *, start=0, end=None):
        self._i2c.writeto(address, memoryview(buffer)[start:len(buffer) if end is None else end])
    def readfrom_into(self, address, buffer, *, start=0, end=None):
        self._i2c.readfrom_into(address, memoryview(buffer)[start:len(buffer) if end is None else end])
"""

PROGRAM = """
import machine, busio
from adafruit_bme280 import basic
i2c = machine.I2C(0, scl=machine.Pin(22), sda=machine.Pin(21), freq=100000)
print("found", i2c.scan())
sensor = basic.Adafruit_BME280_I2C(busio.I2C(i2c), 0x77)
sensor.overscan_pressure = basic.OVERSCAN_X16
print("read", sensor.temperature, sensor.pressure, sensor.humidity)
try:
    basic.Adafruit_BME280_I2C(busio.I2C(i2c), 0x76)
except ValueError as error:
    print("absent", error)
"""


def driver_files() -> dict[str, str]:
    files = {"busio.py": BUSIO, "digitalio.py": "class DigitalInOut:\n    pass\n"}
    for package, modules in (
        ("adafruit_bme280", ("__init__", "basic", "protocol")),
        ("adafruit_bus_device", ("__init__", "i2c_device")),
    ):
        spec = importlib.util.find_spec(package)
        assert spec is not None and spec.origin is not None
        for module in modules:
            path = Path(spec.origin).parent / f"{module}.py"
            files[f"{package}/{module}.py"] = path.read_text(encoding="utf-8")
    return files


def test_the_unmodified_driver_reads_back_every_room(tmp_path, micropython):
    rooms = ((21.5, 987.65, 48.0), (-39.0, 305.0, 5.0), (84.0, 1095.0, 95.0), (0.0, 1013.25, 60.0))

    async def read_rooms() -> None:
        async with running_board(tmp_path, micropython) as board:
            await board.wait_line("help()")
            await run(board, "import os\nos.mkdir('adafruit_bme280')\nos.mkdir('adafruit_bus_device')")
            for name, text in driver_files().items():
                await put(board, name, text)
            for temperature, pressure, humidity in rooms:
                board.bme280.temperature_c = temperature
                board.bme280.pressure_hpa = pressure
                board.bme280.humidity_percent = humidity
                before = board.bme280.conversions
                lines = await run(board, PROGRAM)
                assert lines[0] == "found [119]"
                values = [float(word) for word in lines[1].split()[1:]]
                assert values[0] == pytest.approx(temperature, abs=0.01)
                assert values[1] == pytest.approx(pressure, abs=0.05)
                assert values[2] == pytest.approx(humidity, abs=0.05)
                assert lines[2].startswith("absent No I2C device"), lines
                assert board.bme280.conversions > before

    asyncio.run(read_rooms())


FLEET_PROGRAM = """
import gc, machine, busio, time
from adafruit_bme280 import basic
driver = basic.Adafruit_BME280_I2C(busio.I2C(machine.I2C(0, scl=machine.Pin(22), sda=machine.Pin(21))), 0x77)
print("threshold", gc.threshold(1000), gc.threshold(), gc.mem_free() > 0)
while True:
    try:
        print("room", driver.temperature, driver.pressure, driver.humidity)
    except OSError as error:
        print("error", error)
    time.sleep_ms(20)
"""


def test_a_board_among_many_reads_its_sensor_without_asking_and_sees_every_change(tmp_path, micropython):
    """Goal: the same readings for less, and no shortcut past what a scenario does to sensor and bus."""

    async def read_rooms() -> None:
        async with running_board(tmp_path, micropython, is_one_of_many=True) as board:
            await board.wait_line("help()")
            await run(board, "import os\nos.mkdir('adafruit_bme280')\nos.mkdir('adafruit_bus_device')")
            for name, text in {**driver_files(), "main.py": FLEET_PROGRAM}.items():
                await put(board, name, text)
            await board.power_cycle(off_s=0)
            assert await board.wait_line("threshold") == "threshold -1 -1 True"
            for room in ((21.5, 987.65, 48.0), (-39.0, 305.0, 5.0)):
                board.bme280.temperature_c, board.bme280.pressure_hpa, board.bme280.humidity_percent = room
                async with asyncio.timeout(120):  # what it said of the room before may still be on its way
                    while await read_room(board) != pytest.approx(room, abs=0.05):
                        pass
                assert await read_room(board) == pytest.approx(room, abs=0.05), "the room before came back"
            messages = count_messages(board)
            before = board.bme280.conversions
            async with asyncio.timeout(120):
                while board.bme280.conversions < before + 9:  # three for each reading
                    await read_room(board)
            assert not messages
            board.i2c.is_stuck = True
            await board.wait_line("error")
            board.i2c.is_stuck = False
            await board.wait_line("room")
            unplug(board.i2c, 0x77, board.bme280)
            await board.wait_line("error")
            before = board.bme280.conversions
            await board.wait_line("error")
            assert board.bme280.conversions == before

    asyncio.run(read_rooms())


async def read_room(board: EmulatedBoard) -> list[float]:
    """Return the next values that the program tells."""
    return [float(word) for word in (await board.wait_line("room")).split()[1:]]


def count_messages(board: EmulatedBoard) -> list[bytes]:
    """Return a list to which every message of the chip is added from now on."""
    messages: list[bytes] = []
    handle = board._messages.handle

    def counted(message: bytes) -> bytes | None:
        messages.append(message)
        return handle(message)

    assert board._process is not None
    board._process._on_message = counted
    return messages
