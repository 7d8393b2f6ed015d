"""A DS18B20 on the 1-Wire bus, by the kernel's driver (Linux: Documentation/w1/slaves/w1_therm.rst).

28-0316a2794acf/w1_slave:  4b 01 4b 46 7f ff 05 10 e1 : crc=e1 YES
                           4b 01 4b 46 7f ff 05 10 e1 t=20687
"""

import os

from fieldpost.errors import SensorError

DEVICES = "/sys/bus/w1/devices"
_FAMILY = "28-"
_POWER_ON_MILLI = 85_000  # DS18B20 datasheet, table 1: what it says before the first conversion
_RANGE_MILLI = (-55_000, 125_000)


def make(port, settings):
    """Return the sensor called `id`, or the only one there is."""
    try:
        found = sorted(name for name in os.listdir(DEVICES) if name.startswith(_FAMILY))
    except OSError as error:
        raise SensorError("1-Wire is switched off: run 'sudo raspi-config nonint do_onewire 0' and restart") from error
    wanted = settings["id"]
    if wanted is None:
        if len(found) != 1:
            raise SensorError("%d DS18B20 on the 1-Wire bus: name one by its id (%s)" % (len(found), ", ".join(found)))
        wanted = found[0]
    elif wanted not in found:
        raise SensorError("no DS18B20 %s on the 1-Wire bus; there is %s" % (wanted, ", ".join(found) or "none"))
    return Ds18b20(wanted, settings["label"])


class Ds18b20:
    """One sensor; its quantity is called <label>_temperature. The kernel converts on reading: up to 750 ms."""

    def __init__(self, sensor_id, label):
        self.schema = "%s_temperature,i3,-3,C" % label
        self._path = os.path.join(DEVICES, sensor_id, "w1_slave")
        self._id = sensor_id
        self._has_read = False

    def read(self):
        try:
            with open(self._path, encoding="ascii") as file:
                check, values = file.read().splitlines()
            milli = int(values.rpartition("t=")[2])
        except (OSError, ValueError) as error:
            raise SensorError("DS18B20 %s does not answer: %s" % (self._id, error)) from error
        low, high = _RANGE_MILLI
        if not check.endswith("YES") or not low <= milli <= high:
            raise SensorError("DS18B20 %s: a reading failed its check; are the wires too long?" % self._id)
        if milli == _POWER_ON_MILLI and not self._has_read:
            raise SensorError("DS18B20 %s says 85 C, its value at power-on: has it enough power?" % self._id)
        self._has_read = True
        return (milli,)
