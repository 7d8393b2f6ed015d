"""The same agent on CPython: ring in a file, unmodified Adafruit driver over emulated wires, real TLS, real hub."""

from __future__ import annotations

import asyncio
import base64
import time

import pytest
from adafruit_bme280 import basic
from fieldpost import config
from fieldpost.assembly import Device
from fieldpost.errors import SensorError
from fieldpost.limits import SENSOR_CONVERSION_MS_MAX
from fieldpost.ports.file_region import FileRegion
from fieldpost.ports.stored_text import StoredText
from fieldpost.sensors import bme280 as sensor_module

from host_tools.audit import bodies
from host_tools.emulator.bme280 import Bme280
from host_tools.emulator.i2c import I2cWires, NotAcknowledged

ADDRESS = 0x77


class Unplugged(Exception):
    """The test pulls the plug."""


class Bus:
    """The calls of a CircuitPython bus, over emulated wires."""

    def __init__(self, wires):
        self._wires = wires

    def try_lock(self):
        return True

    def unlock(self):
        pass

    def writeto(self, address, buffer, *, start=0, end=None):
        self._transfer(address, bytes(buffer[start:end]), 0)

    def readfrom_into(self, address, buffer, *, start=0, end=None):
        end = len(buffer) if end is None else end
        buffer[start:end] = self._transfer(address, None, end - start)

    def _transfer(self, address, data, length):
        try:
            return self._wires.transfer(address, data, length)
        except NotAcknowledged as error:
            raise OSError(error.number, "no acknowledgement") from error


class Ticks:
    """Each look at the clock finds it `step_ms` later: the machine was busy."""

    def __init__(self, step_ms):
        self.step_ms = step_ms
        self.now_ms = 0

    def __call__(self):
        self.now_ms += self.step_ms
        return self.now_ms


class Pin:
    def __init__(self, level):
        self.edges = 0
        self._level = level

    def value(self, level=None):
        if level is None:
            return self._level
        self.edges += level != self._level
        self._level = level


class Network:
    is_up = True
    is_stuck = False
    trouble = ""

    def step(self, ticks):
        pass


class TestPort:
    """A machine made of emulated parts; `unplug` makes the next feeding of the watchdog the last."""

    __test__ = False

    def __init__(self, path, wires):
        self.network = Network()
        self.pins = {}
        self.unplug = False
        self.device = None
        self._path = path
        self._wires = wires
        self._region = None

    def region(self):
        if self._region is not None:
            self._region.close()  # the process of the last life has ended
        self._region = FileRegion(str(self._path), 32)
        return self._region

    def i2c(self):
        return Bus(self._wires)

    def output(self, gpio, level):
        return self.pins.setdefault(gpio, Pin(level))

    def last_failure(self):
        return None

    def settings_store(self):
        return StoredText(str(self._path) + ".settings")

    def watchdog(self):
        return self

    def feed(self):
        if self.unplug:
            raise Unplugged

    def ask_time_ms(self):
        return time.time_ns() // 1_000_000

    def reset_cause(self):
        return "power"


@pytest.fixture
def sensor():
    wires, bme280 = I2cWires(), Bme280()
    bme280.power_on()
    bme280.temperature_c, bme280.pressure_hpa, bme280.humidity_percent = 21.5, 987.65, 48.0
    wires.attach(ADDRESS, bme280)
    return wires, bme280


def build(hub, port, batch):
    settings = config.check_config(
        {
            "device": "pi-1",
            "board": "raspberry_pi",
            "port": "linux",
            "hub": {"dialect": "azure", "host": "localhost", "port": hub.port},
            "sample_interval_ms": 50,
            "batch": {"age_ms": 50, **batch},
            "ring": {"kind": "file", "path": "/var/lib/fieldpost/ring", "sectors": 32, "journal_sectors": 4},
            "i2c": {"id": 1, "scl": 3, "sda": 2, "frequency_hz": 100_000},
            "sensors": [{"driver": "bme280", "address": ADDRESS}],
            "pins": {"relay": {"gpio": 17, "safe": 0, "commands": ["gpio.pulse"], "pulse_max_ms": 1000}},
            "watchdog_ms": 8000,
            "status_interval_ms": 0,
        }
    )
    device = hub.devices.create("pi-1")
    identity = config.check_identity(
        {"device_id": "pi-1", "key": device.primary_key, "ca_der": base64.b64encode(hub.ca_der).decode()}
    )
    return Device(settings, identity, port, print)


def run(hub, port, **batch):
    """Return a task in which a freshly built device runs until it is unplugged. batch: of its configuration."""

    def whole_life():
        port.device = build(hub, port, batch)
        with pytest.raises(Unplugged):
            port.device.run()

    port.unplug = False
    return asyncio.create_task(asyncio.to_thread(whole_life))


async def until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.02)


def records(hub):
    return [record for m in hub.messages("pi-1") for record in bodies.content(m.body)["records"]]


@pytest.mark.parametrize(
    ("encoding", "order", "content_type"),
    [
        ("json", "oldest", "application/json"),
        ("cbor", "live", "application/cbor"),
        ("senml", "newest", "application/senml+json"),
    ],
)
async def test_readings_and_a_command_over_two_lives_of_the_device(
    hub, sensor, tmp_path, encoding, order, content_type
):
    wires, bme280 = sensor
    port = TestPort(tmp_path / "ring", wires)
    batch = {"encoding": encoding, "order": order, "per_second": 100}
    first_life = run(hub, port, **batch)
    await until(lambda: len(records(hub)) >= 20)
    message_id = await hub.send("pi-1", b'{"command":"gpio.pulse","arguments":{"pin":"relay","width_ms":30}}', {})
    await until(lambda: any(r.get("id") == message_id for r in records(hub)))
    port.unplug = True
    await first_life
    assert port.pins[17].edges == 2 and port.pins[17].value() == 0
    # While nobody acknowledges, readings are kept for the next life.
    second_life = run(hub, port, **batch)
    await until(lambda: any(r.get("event") == "boot" and r["boot"] == 2 for r in records(hub)))
    await until(lambda: len(records(hub)) >= 60)
    port.unplug = True
    await second_life

    for message in hub.messages("pi-1"):
        assert message.system["content-type"] == content_type
        # Without an encoding a hub takes a body for bytes: right for CBOR, and for a type that it does not route by.
        assert message.system.get("content-encoding") == ("utf-8" if encoding == "json" else None)
    found = {r["n"]: r for r in records(hub)}
    assert sorted(found) == list(range(1, len(found) + 1))
    # The two rings count by themselves: an answer may have the number of a reading.
    answer = next(r for r in records(hub) if r.get("id") == message_id)
    assert (answer["status"], answer["command"]) == ("done", "gpio.pulse")
    readings = [r for r in found.values() if "temperature" in r]
    assert all(abs(r["temperature"] - 21.5) <= 0.02 for r in readings)
    assert all(abs(r["pressure"] - 987.65) <= 0.05 and abs(r["humidity"] - 48) <= 0.05 for r in readings)
    assert all(abs(r["t"] - time.time() * 1000) < 60_000 for r in readings)
    # One conversion for each, and for one under way when the plug was pulled; what is still in the ring may not have
    # arrived.
    assert len(readings) <= bme280.conversions <= len(readings) + port.device.ring.pending + 2


@pytest.mark.parametrize("late", ["before it is done", "when it is done"])
def test_a_busy_machine_loses_no_conversion_that_the_sensor_finished(monkeypatch, late):
    now_s = [10.0]
    wires, bme280 = I2cWires(), Bme280(lambda: now_s[0])
    wires.attach(ADDRESS, bme280)
    now_s[0] += 1
    driver = sensor_module.Bme280(Bus(wires), ADDRESS)
    ticks = Ticks(SENSOR_CONVERSION_MS_MAX + 1)
    monkeypatch.setattr(sensor_module, "ticks_ms", ticks)
    if late == "before it is done":
        # The machine takes its time on the way to the sensor, and none after it.
        ticks.step_ms = 0
        asked = bme280.write

        def write(data):
            asked(data)
            ticks.now_ms += SENSOR_CONVERSION_MS_MAX + 1 if data[0] == 0xF4 else 0

        monkeypatch.setattr(bme280, "write", write)
        monkeypatch.setattr(basic, "sleep", lambda seconds: now_s.__setitem__(0, now_s[0] + seconds))
    else:
        monkeypatch.setattr(basic, "sleep", lambda seconds: now_s.__setitem__(0, now_s[0] + 1))
    assert driver.read()[0] == round(bme280.temperature_c * 100)


def test_a_conversion_that_never_ends_is_told(monkeypatch):
    wires, bme280 = I2cWires(), Bme280(lambda: 10.0)
    wires.attach(ADDRESS, bme280)
    driver = sensor_module.Bme280(Bus(wires), ADDRESS)
    monkeypatch.setattr(sensor_module, "ticks_ms", Ticks(50))
    monkeypatch.setattr(basic, "sleep", lambda seconds: None)
    with pytest.raises(SensorError, match="conversion not finished in 200 ms"):
        driver.read()


async def test_a_sensor_that_goes_and_comes_back_stops_nothing(hub, sensor, tmp_path):
    wires, bme280 = sensor
    wires.detach(ADDRESS)
    port = TestPort(tmp_path / "ring", wires)
    life = run(hub, port)
    await until(lambda: any(r.get("event") == "boot" for r in records(hub)))
    await asyncio.sleep(0.3)
    assert not any("temperature" in r for r in records(hub))
    wires.attach(ADDRESS, bme280)
    await until(lambda: any("temperature" in r for r in records(hub)))
    port.unplug = True
    await life
