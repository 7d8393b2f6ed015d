"""A record as one JSON object, for people and programs at the hub.

    {"n":120,"t":1795447452123,"boot":3,"up":123456,"temperature":21.50,"pressure":987.65,"humidity":48.00}
    {"n":1,"boot":1,"up":12,"event":"boot","cause":"power"}

n is the record's number, t the time of day in ms since 1970 (absent if that boot never learned it), up the
uptime in ms. Temperature in C, pressure in hPa, humidity in %.
"""

from fieldpost.limits import STAMP_BYTES
from fieldpost.records import schema


def json_text(number, kind, payload, timeline):
    """Return the JSON text of a record. payload: memoryview of exactly its bytes."""
    boot = schema.boot_of(payload)
    uptime_ms = schema.uptime_ms_of(payload)
    utc_ms = timeline.utc_ms(boot, uptime_ms)
    time_of_day = "" if utc_ms is None else '"t":%d,' % utc_ms
    head = '{"n":%d,%s"boot":%d,"up":%d,' % (number, time_of_day, boot, uptime_ms)
    if kind == schema.READING:
        temperature, pressure, humidity = schema.unpack_reading(payload)
        return head + '"temperature":%s,"pressure":%s,"humidity":%s}' % (
            hundredths(temperature),
            hundredths(pressure),
            hundredths(humidity),
        )
    if kind == schema.RESULT:
        # The text is an object of its own: its opening brace gives way to the head.
        return head + '"event":"result",' + str(payload[STAMP_BYTES + 1 :], "utf-8")
    if kind == schema.ANCHOR:
        return head + '"event":"anchor","utc":%d}' % schema.anchor_utc_ms(payload)
    if kind == schema.BOOT:
        return head + '"event":"boot","cause":"%s"}' % schema.CAUSES[payload[STAMP_BYTES]]
    return head + '"event":"unknown","kind":%d}' % kind


def hundredths(value):
    """Return an integer number of hundredths as a decimal: floats have 7 digits on boards, and none here."""
    sign = "-" if value < 0 else ""
    value = abs(value)
    return "%s%d.%02d" % (sign, value // 100, value % 100)
