"""Bosch BME280 through Adafruit's driver: temperature, pressure and humidity of one conversion.

In sleep mode the driver starts a conversion for every property that is read, so the three values would
come from three moments and three times the current. Here one conversion serves all three, and a sensor
that never finishes is an error instead of an endless loop.
"""

from errno import ETIMEDOUT

from adafruit_bme280.basic import Adafruit_BME280_I2C

from fieldpost.compat import ticks_diff, ticks_ms
from fieldpost.errors import SensorError
from fieldpost.limits import SENSOR_CONVERSION_MS_MAX

# BST-BME280-DS002 section 6.2.
_ADDRESS_SDO_LOW = 0x76
_ADDRESS_SDO_HIGH = 0x77
_MEASURING = 0x08  # section 5.4.4
# BST-BME280-DS002 table 1: the range of operation; what lies outside is a broken bus, not weather.
_TEMPERATURE_CENTI_RANGE = (-4000, 8500)
_PRESSURE_PA_RANGE = (30000, 110000)


class Bme280:
    """One sensor on a bus. Raises SensorError if nothing answers at `address`."""

    name = "bme280"
    # It resolves 0.01 C, 0.18 Pa and 0.008 % (BST-BME280-DS002 section 1): lost is the last bit of its noise.
    schema = "temperature,i2,-2,C;pressure,u3,-2,hPa;humidity,u2,-2,%"

    def __init__(self, i2c, address):
        try:
            self._driver = _OneConversion(i2c, address)
        except RuntimeError as error:
            # The driver's word for another chip id; a BMP280 has the same addresses and no humidity.
            raise SensorError("what answers at I2C address 0x%02x is no BME280: %s" % (address, error))
        except (OSError, ValueError) as error:
            raise SensorError("no BME280 at I2C address 0x%02x: %s" % (address, _advice(i2c, address, error)))

    def read(self):
        """Return (temperature in 0.01 C, pressure in Pa, humidity in 0.01 %) of one forced conversion.

        Raises SensorError if the sensor does not answer, does not finish, or answers nonsense.
        """
        driver = self._driver
        driver.hold = False
        try:
            temperature = _rounded(driver.temperature * 100)
            driver.hold = True
            pressure = _rounded(driver.pressure * 100)
            humidity = _rounded(driver.humidity * 100)
        except (OSError, ArithmeticError) as error:
            raise SensorError("BME280 does not answer: %s" % error)
        low, high = _TEMPERATURE_CENTI_RANGE
        if not low <= temperature <= high:
            raise SensorError("BME280 says %d hundredths of a degree: check the wiring" % temperature)
        low, high = _PRESSURE_PA_RANGE
        if not low <= pressure <= high:
            raise SensorError("BME280 says %d Pa: check the wiring" % pressure)
        return temperature, pressure, humidity


class _OneConversion(Adafruit_BME280_I2C):
    hold = False

    def _read_temperature(self):
        if self.hold:
            return
        self._started = None
        super()._read_temperature()

    def _get_status(self):
        # It has begun by now. A machine that was busy meanwhile looks late, at a sensor that has long been done.
        asked = ticks_ms()
        if self._started is None:
            self._started = asked
        status = super()._get_status()
        if status & _MEASURING and ticks_diff(asked, self._started) > SENSOR_CONVERSION_MS_MAX:
            raise OSError("conversion not finished in %d ms" % SENSOR_CONVERSION_MS_MAX)
        return status


def _advice(i2c, address, error):
    """Return what to do about a sensor that does not answer. It has one of two addresses, by its pin SDO."""
    if isinstance(error, OSError) and error.errno == ETIMEDOUT:
        return "the bus is stuck: switch the sensor off and on again"
    other = _ADDRESS_SDO_LOW + _ADDRESS_SDO_HIGH - address
    try:
        i2c.writeto(other, b"")
    except OSError:
        return "is it wired, and has it power?"
    return "one answers at 0x%02x: set sensors address to %d" % (other, other)


def _rounded(value):
    return int(value + 0.5) if value >= 0 else -int(0.5 - value)
