"""The one name that Adafruit's BME280 driver imports from `digitalio`, for its SPI variant."""


class DigitalInOut:
    """A pin; boards of fieldpost reach the sensor over I2C."""
