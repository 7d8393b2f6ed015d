"""What the other contestants share: the network, the sensor, and what a reading is called.

    bench.json: host, port, device, interval_ms, ssid, and of the sensor's bus: bus, scl, sda, address

The BME280 without a driver: a forced conversion and its raw words (BST-BME280-DS002 sections 4 and 5.3). A reading is
called by the number of the start, kept in a file, and its number since then.
"""

import json
import time

import network
from machine import I2C, Pin

_CTRL_HUM, _STATUS, _CTRL_MEAS, _DATA = 0xF2, 0xF3, 0xF4, 0xF7
_FORCED_ONCE = 0x25
_MEASURING = 0x08

with open("bench.json") as file:
    asked = json.load(file)


def _count_start():
    try:
        with open("starts") as file:
            count = int(file.read()) + 1
    except (OSError, ValueError):
        count = 1
    with open("starts", "w") as file:
        file.write(str(count))
    return count


class Room:
    """Gives readings, each at its time; what could not be taken in time is not made up for."""

    def __init__(self):
        self._i2c = I2C(asked["bus"], scl=Pin(asked["scl"]), sda=Pin(asked["sda"]))
        self._address = asked["address"]
        self._start = _count_start()
        self._count = 0
        self._begun_ms = self._next_ms = time.ticks_ms()

    def ms_left(self):
        """Return how long it is until the next reading is due, 0 if it is."""
        return max(0, time.ticks_diff(self._next_ms, time.ticks_ms()))

    def read(self):
        """Return a reading as JSON text, or None without a sensor."""
        now_ms = time.ticks_ms()
        self._next_ms = time.ticks_add(self._next_ms, asked["interval_ms"])
        if time.ticks_diff(self._next_ms, now_ms) < 0:
            self._next_ms = time.ticks_add(now_ms, asked["interval_ms"])
        try:
            self._i2c.writeto_mem(self._address, _CTRL_HUM, b"\x01")
            self._i2c.writeto_mem(self._address, _CTRL_MEAS, bytes([_FORCED_ONCE]))
            time.sleep_ms(10)
            while self._i2c.readfrom_mem(self._address, _STATUS, 1)[0] & _MEASURING:
                time.sleep_ms(1)
            words = self._i2c.readfrom_mem(self._address, _DATA, 8)
        except OSError:
            return None
        self._count += 1
        reading = {
            "start": self._start,
            "n": self._count,
            "up": time.ticks_diff(now_ms, self._begun_ms),
            "raw": words.hex(),
        }
        return json.dumps(reading).encode()


def join():
    """Join the network, as long as it takes."""
    station = network.WLAN(network.STA_IF)
    station.active(True)
    if not station.isconnected():
        station.connect(asked["ssid"], "any")
    while not station.isconnected():
        time.sleep_ms(50)
