"""From an entry of `sensors` in config.json to a sensor: built in, or a Python file of the administrator's.

{"driver": "bme280", "address": 119}                      as on boards
{"driver": "cpu", "interval_ms": 60000}                   a file in this folder
{"driver": "tank", "interval_ms": 5000, "depth_m": 3}     /etc/fieldpost/sensors/tank.py
"""

import importlib.util
import os

from fieldpost.errors import ConfigError, SensorError
from fieldpost.limits import PIN_NAME_CHARS_MAX, RECORD_BYTES_MAX, SENSORS_MAX
from fieldpost.records.reading_schema import ReadingSchema
from fieldpost.sensors.bme280 import Bme280
from fieldpost.shapes import Choice, Fields, Integer, Mismatch, Optional, Text, name

_INTERVAL = Integer(50, 86_400_000, "milliseconds")
_LABEL = name(PIN_NAME_CHARS_MAX)

# What each built-in driver may be told beside `driver` and `interval_ms`.
_SETTINGS = {
    # label: for a second one; its quantities are then called <label>_temperature and so on.
    "bme280": (("address", Optional(Choice(0x76, 0x77), 0x77)), ("label", Optional(_LABEL))),
    "cpu": (),
    "disk": (("path", Optional(Text(255, "a path"), "/")),),
    "ds18b20": (
        ("id", Optional(Text(32, "the sensor's id, such as 28-0316a2794acf"))),
        ("label", Optional(_LABEL, "ds18b20")),
    ),
    "gpio_counter": (
        ("gpio", Integer(0, 63)),
        ("label", Optional(_LABEL, "count")),
        ("edge", Optional(Choice("rising", "falling", "both"), "rising")),
        ("debounce_us", Optional(Integer(0, 1_000_000, "microseconds"), 0)),
    ),
}


def check(value, plug_in_folder, default_interval_ms):
    """Return the entries of `sensors` with defaults filled in. Raises ConfigError for the first fault."""
    if not isinstance(value, list) or not 1 <= len(value) <= SENSORS_MAX:
        raise ConfigError("config.json: sensors: expected a list of 1 to %d sensors" % SENSORS_MAX)
    try:
        found = [_checked(value[i], "sensors[%d]" % i, plug_in_folder, default_interval_ms) for i in range(len(value))]
        for i in range(len(found)):
            if name_of(found[i]) in [name_of(other) for other in found[:i]]:
                raise Mismatch('sensors[%d]: "%s" is there already: give it a label' % (i, name_of(found[i])))
    except Mismatch as mismatch:
        raise ConfigError("config.json: %s" % mismatch) from None
    return found


def name_of(settings):
    """Return what a sensor is called in the log, in alarms and in metrics."""
    label = settings.get("label")
    return label if isinstance(label, str) and label else settings["driver"]


def spare(taken, interval_ms):
    """Return entries, by name, of built-in sensors that need no settings, for a twin to switch on.

    taken: names of sensors that the configuration has.
    """
    found = {one: {"driver": one, "interval_ms": interval_ms} for one in ("cpu", "disk", "ds18b20") if one not in taken}
    return {one: _checked(found[one], one, "", interval_ms) for one in found}


def make(port, settings, plug_in_folder):
    """Return the sensor of one checked entry. Raises SensorError."""
    driver = settings["driver"]
    if driver == "bme280":
        sensor = Bme280(port.i2c(), settings["address"])
        if settings["label"]:
            sensor.schema = ";".join("%s_%s" % (settings["label"], part) for part in Bme280.schema.split(";"))
        return sensor
    if driver in _SETTINGS:
        module = importlib.import_module("fieldpost.daemon.sensors." + driver)
        return module.make(port, settings)
    return _PlugIn(driver, lambda: _module(driver, plug_in_folder).make(port, settings))


def _checked(entry, where, plug_in_folder, default_interval_ms):
    driver = entry.get("driver") if isinstance(entry, dict) else None
    if driver in _SETTINGS:
        shape = Fields(
            ("driver", Choice(driver)), ("interval_ms", Optional(_INTERVAL, default_interval_ms)), *_SETTINGS[driver]
        )
        return shape.check(entry, where)
    if driver is None or not os.path.exists(_file(_LABEL.check(driver, where + ".driver"), plug_in_folder)):
        known = ", ".join(sorted(_SETTINGS))
        raise Mismatch(
            '%s.driver is "%s": expected %s, or the name of a file in %s' % (where, driver, known, plug_in_folder)
        )
    interval_ms = _INTERVAL.check(entry.get("interval_ms", default_interval_ms), where + ".interval_ms")
    return dict(entry, interval_ms=interval_ms)


def _file(driver, folder):
    return os.path.join(folder, driver + ".py")


def _module(driver, folder):
    spec = importlib.util.spec_from_file_location("fieldpost_sensor_" + driver, _file(driver, folder))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _PlugIn:
    """An administrator's sensor: whatever it does wrong is a SensorError, and the other sensors go on."""

    def __init__(self, driver, make_sensor):
        self._driver = driver
        self._sensor = self._guarded(make_sensor)
        self.schema = self._guarded(lambda: self._sensor.schema)
        self._reading_schema = self._guarded(lambda: ReadingSchema(self.schema))
        self._scratch = bytearray(RECORD_BYTES_MAX)

    def read(self):
        return self._guarded(self._read)

    def poll(self):
        if hasattr(self._sensor, "poll"):
            self._guarded(self._sensor.poll)

    def _read(self):
        values = tuple(self._sensor.read())
        self._reading_schema.pack(self._scratch, values)  # what does not fit is told here, not by the ring
        return values

    def _guarded(self, act):
        try:
            return act()
        except SensorError:
            raise
        except Exception as error:
            raise SensorError("%s: %s: %s" % (self._driver, type(error).__name__, error)) from error
