"""Several sensors in one service: built in, counted by the kernel, and an administrator's own file."""

from __future__ import annotations

import asyncio
import json
import os

import pytest
from fieldpost.daemon import settings
from fieldpost.daemon.sensors import catalog, cpu, disk, ds18b20, gpio_counter
from fieldpost.errors import ConfigError, SensorError
from fieldpost.records.reading_schema import ReadingSchema

from host_tools.emulator.bme280 import Bme280
from tests.pi.until import until

PLUG_IN = """\
from fieldpost.errors import SensorError

class Tank:
    schema = "level,u2,-2,m"

    def __init__(self, path):
        self.path = path

    def read(self):
        with open(self.path) as file:
            text = file.read()
        if text == "broken":
            raise SensorError("the float is stuck: free it")
        return (int(text),)

def make(port, settings):
    return Tank(settings["path"])
"""


async def test_many_sensors_deliver_and_one_that_fails_stops_no_other(pi):
    tank = pi.folder / "level"
    tank.write_text("123")
    (pi.folder / "sensors").mkdir()
    (pi.folder / "sensors" / "tank.py").write_text(PLUG_IN)
    pi.settings["sensors"] = [
        {"driver": "bme280", "address": 0x77},
        {"driver": "cpu", "interval_ms": 100},
        {"driver": "disk", "interval_ms": 100, "path": str(pi.folder)},
        {"driver": "gpio_counter", "gpio": 23, "label": "rain", "interval_ms": 100},
        {"driver": "tank", "interval_ms": 100, "path": str(tank)},
    ]
    pi.start()
    names = ("temperature", "cpu_load", "disk_free", "rain", "level")

    def newest(name):
        return [r[name] for r in pi.records() if name in r][-1:]

    await until(lambda: all(newest(name) for name in names), pi.said)
    assert newest("level") == [1.23]
    assert 0 < newest("disk_free")[0] <= os.statvfs(pi.folder).f_blocks * os.statvfs(pi.folder).f_frsize / 1024
    for _ in range(25):
        pi.hardware.drive(23, 1)
        pi.hardware.drive(23, 0)
    await until(lambda: newest("rain") == [25], pi.said)

    tank.write_text("broken")
    await until(lambda: "the float is stuck" in pi.said(), pi.said)
    before = len([r for r in pi.records() if "temperature" in r])
    await until(lambda: len([r for r in pi.records() if "temperature" in r]) >= before + 10, pi.said)
    tank.write_text("nonsense")  # not even a SensorError
    await until(lambda: "tank: ValueError: invalid literal" in pi.said(), pi.said)
    tank.write_text("70000")  # more than its schema has room for
    await until(lambda: "tank: ValueError: level 70000" in pi.said(), pi.said)
    tank.write_text("456")
    await until(lambda: newest("level") == [4.56], pi.said)
    assert "tank answers again after" in pi.said()
    alarms = [(r["alarm"], r["state"]) for r in pi.records() if r.get("event") == "alarm"]
    assert alarms[:2] == [("tank", "failed"), ("tank", "works")]
    await asyncio.to_thread(pi.stop)
    assert pi.nothing_is_missing()


async def test_two_bme280_keep_their_quantities_apart(pi):
    other = Bme280()
    other.temperature_c = -5
    pi.hardware.wires.attach(0x76, other)
    pi.settings["sensors"] += [{"driver": "bme280", "address": 0x76, "label": "attic"}]
    pi.start()
    await until(lambda: {"temperature", "attic_temperature"} <= {name for r in pi.records() for name in r}, pi.said)
    assert {round(r["attic_temperature"]) for r in pi.records() if "attic_temperature" in r} == {-5}
    assert {round(r["temperature"], 1) for r in pi.records() if "temperature" in r} == {21.5}


async def test_a_machine_without_a_bme280_needs_none(pi):
    pi.settings["sensors"] = [{"driver": "cpu", "interval_ms": 50}]
    pi.start()
    await until(lambda: any("cpu_load" in r for r in pi.records()), pi.said)
    assert not any("temperature" in r for r in pi.records())


@pytest.mark.parametrize(
    ("sensors", "said"),
    [
        (None, "expected a list of 1 to 8"),
        ([], "expected a list of 1 to 8"),
        ([{"driver": "bme281"}], 'sensors[0].driver is "bme281"'),
        ([{"driver": "../cpu"}], "sensors[0].driver"),
        ([{}], "sensors[0].driver"),
        ([{"driver": "gpio_counter"}], "sensors[0].gpio is missing"),
        ([{"driver": "cpu", "speed": 1}], "sensors[0].speed is not a known key"),
        ([{"driver": "cpu"}, {"driver": "disk", "interval_ms": 1}], "sensors[1].interval_ms is 1"),
        ([{"driver": "bme280"}, {"driver": "bme280", "address": 118}], 'sensors[1]: "bme280" is there already'),
    ],
)
def test_a_wrong_sensor_is_named_before_anything_starts(tmp_path, sensors, said):
    with pytest.raises(ConfigError) as refused:
        catalog.check(sensors, str(tmp_path), 1000)
    assert said in str(refused.value)


def test_the_first_sensors_rhythm_is_the_one_that_a_twin_changes(pi_settings):
    sensors = [{"driver": "cpu", "interval_ms": 60_000}, {"driver": "disk"}]
    config = settings.load(*pi_settings(sensors=sensors, sample_interval_ms=5000))[0]
    assert config["sample_interval_ms"] == 60_000
    assert [sensor["interval_ms"] for sensor in config["sensors"]] == [60_000, 5000]


def test_what_only_a_service_has_is_checked_too(pi_settings):
    assert settings.load(*pi_settings(service={}))[0]["service"]["metrics"] == "off"
    with pytest.raises(ConfigError, match="metrics is"):
        settings.load(*pi_settings(service={"metrics": "everywhere"}))


@pytest.fixture
def pi_settings(tmp_path):
    def write(**more):
        config = {
            "device": "pi", "board": "raspberry_pi", "port": "linux", "hub": {"host": "localhost"},
            "ring": {"kind": "file", "path": "/q", "sectors": 64}, "i2c": {"scl": 3, "sda": 2},
            "sensors": [{"driver": "cpu"}], **more,
        }  # fmt: skip
        (tmp_path / "config.json").write_text(json.dumps(config))
        (tmp_path / "identity.json").write_text(json.dumps({"device_id": "pi", "key": "A" * 44, "ca_der": "A" * 400}))
        return str(tmp_path / "config.json"), str(tmp_path / "identity.json")

    return write


def test_the_cpu_tells_temperature_and_load(tmp_path, monkeypatch):
    (tmp_path / "temp").write_text("48312\n")
    (tmp_path / "loadavg").write_text("1.07 0.51 0.30 1/123 4567\n")
    monkeypatch.setattr(cpu, "_TEMPERATURE", str(tmp_path / "temp"))
    monkeypatch.setattr(cpu, "_LOAD", str(tmp_path / "loadavg"))
    sensor = cpu.make(None, {})
    assert sensor.read() == (48312, 107)
    assert members(sensor) == {"cpu_temperature": 48.312, "cpu_load": 1.07}
    (tmp_path / "temp").unlink()
    assert cpu.make(None, {}).read() == (107,)


def test_the_disk_tells_what_is_left_for_others_than_root(tmp_path):
    free, size = disk.make(None, {"path": str(tmp_path)}).read()
    assert 0 <= free < size
    with pytest.raises(SensorError, match="No such file"):
        disk.make(None, {"path": str(tmp_path / "absent")}).read()


GOOD = "4b 01 4b 46 7f ff 05 10 e1 : crc=e1 YES\n4b 01 4b 46 7f ff 05 10 e1 t=%d\n"


def test_a_ds18b20_is_read_and_its_lies_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(ds18b20, "DEVICES", str(tmp_path / "devices"))
    wanted = {"id": None, "label": "boiler"}
    with pytest.raises(SensorError, match="do_onewire 0"):
        ds18b20.make(None, wanted)
    folder = tmp_path / "devices" / "28-0316a2794acf"
    folder.mkdir(parents=True)
    (folder / "w1_slave").write_text(GOOD % 85_000)
    sensor = ds18b20.make(None, wanted)
    with pytest.raises(SensorError, match="power-on"):
        sensor.read()
    (folder / "w1_slave").write_text(GOOD % -1187)
    assert sensor.read() == (-1187,)
    assert members(sensor) == {"boiler_temperature": -1.187}
    (folder / "w1_slave").write_text((GOOD % 20_000).replace("YES", "NO"))
    with pytest.raises(SensorError, match="failed its check"):
        sensor.read()
    (folder / "w1_slave").write_text("")
    with pytest.raises(SensorError, match="does not answer"):
        sensor.read()
    (tmp_path / "devices" / "28-second").mkdir()
    with pytest.raises(SensorError, match="name one by its id"):
        ds18b20.make(None, wanted)
    assert ds18b20.make(None, dict(wanted, id="28-second"))
    with pytest.raises(SensorError, match="no DS18B20 28-third"):
        ds18b20.make(None, dict(wanted, id="28-third"))


def test_a_counter_without_a_gpio_says_so():
    with pytest.raises(SensorError, match="GPIO 23 cannot be counted"):
        gpio_counter.make(None, {"gpio": 23, "edge": "rising", "debounce_us": 0, "label": "rain"})


def members(sensor):
    """Return the JSON that a reading of the sensor becomes."""
    schema = ReadingSchema(sensor.schema)
    buffer = bytearray(220)
    length = schema.pack(buffer, sensor.read())
    return json.loads("{" + schema.json_members(memoryview(buffer)[:length]) + "}")
