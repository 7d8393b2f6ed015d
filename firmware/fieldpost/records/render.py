"""A record as one JSON object, for people and programs at the hub.

    {"n":120,"t":1795447452123,"boot":3,"up":123456,"temperature":21.50,"pressure":987.65,"humidity":48.00}
    {"n":1,"boot":1,"up":12,"event":"boot","cause":"power"}

n is the record's number, t the time of day in ms since 1970 (absent if that boot never learned it), up the
uptime in ms. A reading has the quantities that its schema names.
"""

from binascii import hexlify

from fieldpost.limits import STAMP_BYTES
from fieldpost.records import schema
from fieldpost.records.reading_schema import id_of


def json_text(number, kind, payload, timeline, schemas):
    """Return the JSON text of a record (bytes). payload: memoryview of exactly its bytes."""
    boot = schema.boot_of(payload)
    uptime_ms = schema.uptime_ms_of(payload)
    utc_ms = timeline.utc_ms(boot, uptime_ms)
    if kind == schema.READING:
        reading_schema = schemas.of(payload)
        if reading_schema is not None and len(payload) == reading_schema.reading_bytes:
            text = utc_ms and reading_schema.json_reading(number, utc_ms, boot, uptime_ms, payload)
            return (
                text or (_head(number, utc_ms, boot, uptime_ms) + reading_schema.json_members(payload) + "}").encode()
            )
    return (_head(number, utc_ms, boot, uptime_ms) + _event(kind, payload)).encode()


def _head(number, utc_ms, boot, uptime_ms):
    time_of_day = "" if utc_ms is None else '"t":%d,' % utc_ms
    return '{"n":%d,%s"boot":%d,"up":%d,' % (number, time_of_day, boot, uptime_ms)


def _event(kind, payload):
    if kind == schema.READING:
        # Nothing is lost of it: whoever has its schema can still read it.
        return '"event":"reading","schema":%d,"bytes":"%s"}' % (id_of(payload), _hex(payload[STAMP_BYTES + 2 :]))
    if kind == schema.RESULT or kind == schema.ALARM:
        # The text is an object of its own: its opening brace gives way to the head.
        event = "result" if kind == schema.RESULT else "alarm"
        return '"event":"%s",' % event + str(payload[STAMP_BYTES + 1 :], "utf-8")
    if kind == schema.ANCHOR:
        return '"event":"anchor","utc":%d}' % schema.anchor_utc_ms(payload)
    if kind == schema.BOOT:
        return '"event":"boot","cause":"%s"}' % schema.CAUSES[payload[STAMP_BYTES]]
    if kind == schema.SCHEMA and b'"' not in bytes(payload[STAMP_BYTES:]):
        return '"event":"schema","schema":"%s"}' % str(payload[STAMP_BYTES:], "utf-8")
    return '"event":"unknown","kind":%d,"bytes":"%s"}' % (kind, _hex(payload[STAMP_BYTES:]))


def _hex(data):
    return str(hexlify(data), "ascii")
