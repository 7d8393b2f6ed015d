# Time as the port counts it, and sleeping that costs nothing.
#
# The interpreter under this would wake up a thousand times a second in sleep_ms.

import _wire
import utime
from micropython import const
from utime import sleep_us as _sleep_us
from utime import ticks_add, ticks_cpu, ticks_diff, ticks_us

_INTERRUPT = const(7)
_CLOCK_OFFSET = const(8)
_page = _wire.page
_EPOCH_S = 946684800 if _wire.port == "esp32" else 0


# Programs that never sleep look at the time: an interrupt can reach them here.
def ticks_ms():
    if _page[_INTERRUPT]:
        _wire.pass_by()
    return utime.ticks_ms()


def sleep_ms(ms):
    _wire.wait(int(ms))


def sleep(seconds):
    _wire.wait(int(seconds * 1000))


def sleep_us(us):
    if us >= 2000:
        _wire.wait(us // 1000)
        us %= 1000
    _sleep_us(us)


def time_ns():
    return utime.time_ns() + _wire.get_i64(_CLOCK_OFFSET) - _EPOCH_S * 1000000000


def time():
    return time_ns() // 1000000000


def gmtime(seconds=None):
    return utime.gmtime((time() if seconds is None else int(seconds)) + _EPOCH_S)[:8]


localtime = gmtime


def mktime(moment):
    moment = tuple(moment)[:8]
    # The host's mktime knows time zones and boards do not: count the days (Howard Hinnant, days_from_civil).
    year, month, day, hour, minute, second = moment[:6]
    year += (month - 1) // 12
    month = (month - 1) % 12 + 1
    if month <= 2:
        year -= 1
    days = year * 365 + year // 4 - year // 100 + year // 400
    days += (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1 - 719468
    return ((days * 24 + hour) * 60 + minute) * 60 + second - _EPOCH_S


# Set the clock of the chip; ns since the port's epoch.
def _set_ns(ns):
    _wire.put_i64(_CLOCK_OFFSET, ns + _EPOCH_S * 1000000000 - utime.time_ns())
