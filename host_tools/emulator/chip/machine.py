# The chip's own functions: pins, buses, watchdog, clock, resets.

import struct
import time
from binascii import unhexlify

import _wire
from _analog import ADC, PWM
from _i2c import I2C, SoftI2C
from _pin import Pin
from micropython import const
from umachine import Signal, time_pulse_us

_CLOCK_OFFSET = const(8)
_FEED = const(16)
_RP2040_WATCHDOG_MS_MAX = const(8388)
_KIND_RESET = const(0)
_KIND_SOFT = const(1)
_KIND_SLEEP = const(3)
_KIND_BOOTLOADER = const(4)

PWRON_RESET = 1
WDT_RESET = 3
_esp32 = _wire.port == "esp32"
if _esp32:
    HARD_RESET = 2
    DEEPSLEEP_RESET = 4
    SOFT_RESET = 5

_frequency_hz = 160000000 if _esp32 else 125000000


# ESP32 tells resets apart; an RP2040 makes all of them with its watchdog.
def reset_cause():
    cause = _wire.config["cause"][3:]
    if cause == "power":
        return PWRON_RESET
    if not _esp32:
        return WDT_RESET
    return {"watchdog": 3, "sleep": 4, "soft": 5}.get(cause, 2)


def reset():
    _wire.reset(_KIND_RESET)


def soft_reset():
    _wire.reset(_KIND_SOFT)


def bootloader(timeout=0):
    _wire.reset(_KIND_BOOTLOADER)


def deepsleep(time_ms=0):
    _wire.reset(_KIND_SLEEP, time_ms)


def lightsleep(time_ms=0):
    _wire.wait(time_ms)


def idle():
    _wire.wait(1)


def unique_id():
    return unhexlify(_wire.config["id"])


def freq(hz=None):
    global _frequency_hz
    if hz is None:
        return _frequency_hz
    _frequency_hz = hz


class WDT:
    def __init__(self, id=0, timeout=5000):
        if timeout <= 0 or (not _esp32 and timeout > _RP2040_WATCHDOG_MS_MAX):
            raise ValueError("timeout exceeds %d" % _RP2040_WATCHDOG_MS_MAX)
        self.feed()
        _wire.post(struct.pack("<BI", 87, timeout))

    def feed(self):
        _wire.put_u32(_FEED, time.ticks_ms() & 0x3FFFFFFF)
        _wire.sample_heap()


class RTC:
    def datetime(self, moment=None):
        if moment is None:
            year, month, day, hour, minute, second, weekday, _ = time.gmtime()
            return (year, month, day, weekday, hour, minute, second, time.time_ns() // 1000 % 1000000)
        year, month, day, _, hour, minute, second, microsecond = moment
        seconds = time.mktime((year, month, day, hour, minute, second, 0, 0))
        time._set_ns(seconds * 1000000000 + microsecond * 1000)
