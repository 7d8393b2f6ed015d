"""Records as bytes: every one begins with a stamp.

    stamp     boot number u24, uptime in ms u40 (34 years)                       8 bytes
    READING   id of its schema u16, then integers as that schema says            9 more for a BME280
    BOOT      cause of the reset u8                                              1 more
    ANCHOR    UTC in ms since 1970 u48, true at the moment of the stamp          6 more
    RESULT    JSON text of a command's answer                                    up to 200 more
    SCHEMA    text of a schema (see reading_schema)                              up to 200 more
    ALARM     JSON text of what is wrong, or right again                         up to 200 more

All little endian.
"""

from fieldpost.compat import const
from fieldpost.limits import RESULT_TEXT_BYTES_MAX, STAMP_BYTES

READING = const(1)
BOOT = const(2)
ANCHOR = const(3)
RESULT = const(4)
SCHEMA = const(5)
ALARM = const(6)

CAUSES = ("unknown", "power", "watchdog", "reset", "soft", "sleep")

_U40 = 1 << 40


def pack_stamp(buffer, boot, uptime_ms):
    """Write a stamp to the head of `buffer`."""
    assert 0 <= boot < 1 << 24 and 0 <= uptime_ms < _U40
    buffer[0:3] = boot.to_bytes(3, "little")
    buffer[3:8] = uptime_ms.to_bytes(5, "little")


def boot_of(payload):
    """Return the boot number of any record."""
    return payload[0] | payload[1] << 8 | payload[2] << 16


def uptime_ms_of(payload):
    """Return the uptime in ms of any record."""
    return int.from_bytes(payload[3:8], "little")


def pack_reading(buffer, boot, uptime_ms, reading_schema, values):
    """Write a reading and return its length. values: integers as `reading_schema` names them."""
    pack_stamp(buffer, boot, uptime_ms)
    return reading_schema.pack(buffer, values)


def pack_boot(buffer, boot, uptime_ms, cause):
    """Write the record that begins a boot and return its length. cause: one of CAUSES."""
    pack_stamp(buffer, boot, uptime_ms)
    buffer[STAMP_BYTES] = CAUSES.index(cause)
    return STAMP_BYTES + 1


def pack_anchor(buffer, boot, uptime_ms, utc_ms):
    """Write an anchor and return its length. utc_ms: ms since 1970 at `uptime_ms` of that boot."""
    pack_stamp(buffer, boot, uptime_ms)
    buffer[STAMP_BYTES : STAMP_BYTES + 6] = utc_ms.to_bytes(6, "little")
    return STAMP_BYTES + 6


def anchor_utc_ms(payload):
    """Return the UTC in ms that an anchor tells."""
    return int.from_bytes(payload[STAMP_BYTES : STAMP_BYTES + 6], "little")


def pack_text(buffer, boot, uptime_ms, text):
    """Write the text of a RESULT, SCHEMA or ALARM and return its length. text: UTF-8, RESULT_TEXT_BYTES_MAX at most."""
    assert len(text) <= RESULT_TEXT_BYTES_MAX, len(text)
    pack_stamp(buffer, boot, uptime_ms)
    buffer[STAMP_BYTES : STAMP_BYTES + len(text)] = text
    return STAMP_BYTES + len(text)
