"""A Device whose log follows a sensor's trouble from one cause to the next, not only its beginning."""

from fieldpost.assembly import Device
from fieldpost.errors import SensorError


class ServiceDevice(Device):
    """As Device. log: callable that takes one line."""

    _sensor_error = ""

    def _make_sensor(self):
        try:
            sensor = super()._make_sensor()
        except SensorError as error:
            # The agent itself tells the first one.
            if self.agent.sensor_failures and str(error) != self._sensor_error:
                self._log(str(error))
            self._sensor_error = str(error)
            raise
        self._sensor_error = ""
        return sensor
