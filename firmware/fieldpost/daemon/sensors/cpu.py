"""The processor: its temperature, and how much there is to do (proc(5), Linux's sysfs-class-thermal)."""

from fieldpost.errors import SensorError

_TEMPERATURE = "/sys/class/thermal/thermal_zone0/temp"
_LOAD = "/proc/loadavg"


def make(port, settings):
    """Return the sensor; without a thermal zone, as in a virtual machine, it tells the load alone."""
    try:
        with open(_TEMPERATURE, encoding="ascii") as file:
            file.read()
    except OSError:
        return Load()
    return Cpu()


class Load:
    """The load of the last minute: processes that run or wait for a processor or a disk."""

    schema = "cpu_load,u2,-2,1"

    def read(self):
        try:
            with open(_LOAD, encoding="ascii") as file:
                return (min(65_535, round(float(file.read().split()[0]) * 100)),)
        except (OSError, ValueError) as error:
            raise SensorError("%s: %s" % (_LOAD, error)) from error


class Cpu(Load):
    """Temperature of the first thermal zone, and the load."""

    schema = "cpu_temperature,i3,-3,C;cpu_load,u2,-2,1"

    def read(self):
        try:
            with open(_TEMPERATURE, encoding="ascii") as file:
                return (int(file.read()), *super().read())
        except (OSError, ValueError) as error:
            raise SensorError("%s: %s" % (_TEMPERATURE, error)) from error
