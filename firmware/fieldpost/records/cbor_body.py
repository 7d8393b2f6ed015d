"""A message body as CBOR (RFC 8949): what JSON says, in about two fifths of the bytes.

    {_ "q": "1a2b3c4d", "records": [_ {"n": 1, "t": 1795447452123, "boot": 3, "up": 12, "temperature": 4([-2, 2150])},
                                      [2, 1795447453123, 3, 1012, 4([-2, 2151])]], "lost": [[100, 119]]}

A record that is an array has the keys of the map before it. Values are decimal fractions (section 3.4.4), exact. The
text of an answer or an alarm, JSON itself, stands under "json"; bytes that nobody understands under "bytes".
"""

from fieldpost.compat import const
from fieldpost.limits import RECORD_TEXT_BYTES_MAX, STAMP_BYTES
from fieldpost.records import schema
from fieldpost.records.reading_schema import id_of
from fieldpost.records.renderer import Renderer

_UNSIGNED = const(0x00)
_NEGATIVE = const(0x20)
_BYTES = const(0x40)
_TEXT = const(0x60)
_ARRAY = const(0x80)
_MAP = const(0xA0)
_DECIMAL_FRACTION = const(0xC4)
_ARRAY_OPEN = b"\x9f"
_MAP_OPEN = b"\xbf"
_BREAK = b"\xff"


class CborBody(Renderer):
    """RFC 8949; array and map of unknown length, since records are added until the message is full."""

    properties = "%24.ct=application%2Fcbor"
    range_bytes = 19

    def __init__(self, ring, timeline, schemas):
        super().__init__(ring, timeline, schemas)
        self._buffer = memoryview(bytearray(RECORD_TEXT_BYTES_MAX))
        self._at = 0
        self._quantities_of = None  # the schema that `_quantities` are of
        self._quantities = ()
        self._keys_of = None  # what the last record's keys were, None if they cannot serve for the next

    def begin(self):
        """Return the bytes before the first record."""
        self._keys_of = None
        return _MAP_OPEN + b"\x61q\x68" + b"%08x" % self._ring.ring_id + b"\x67records" + _ARRAY_OPEN

    def record(self, number, kind, payload):
        """Return a record as a map, or as an array if it has the keys of the one before; valid until the next call."""
        boot, uptime_ms = schema.boot_of(payload), schema.uptime_ms_of(payload)
        utc_ms = self._timeline.utc_ms(boot, uptime_ms)
        reading_schema = self._schema_of(kind, payload)
        keys = None if reading_schema is None else (reading_schema.id, utc_ms is None)
        is_array = keys is not None and keys == self._keys_of
        self._keys_of = keys
        self._at = 0
        stamp = 3 if utc_ms is None else 4
        if reading_schema is not None:
            if self._quantities_of is not reading_schema:
                self._quantities_of = reading_schema
                self._quantities = reading_schema.quantities()
            count = stamp + len(self._quantities)
        else:
            count = stamp + (3 if kind not in _EVENTS else 2)
        self._head(_ARRAY if is_array else _MAP, count)
        for key, value in (("n", number), ("t", utc_ms), ("boot", boot), ("up", uptime_ms)):
            if value is not None:
                if not is_array:
                    self._text(key)
                self._head(_UNSIGNED, value)
        if reading_schema is not None:
            for index, value in enumerate(reading_schema.values(payload)):
                name, exponent = self._quantities[index]
                if not is_array:
                    self._text(name)
                self._decimal(value, exponent)
        else:
            self._event(kind, payload)
        return self._buffer[: self._at]

    def end(self, lost):
        """Return the bytes after the last record."""
        if not lost:
            return _BREAK + _BREAK
        self._at = 0
        self._put(_BREAK)
        self._text("lost")
        self._head(_ARRAY, len(lost))
        for first, last in lost:
            self._head(_ARRAY, 2)
            self._head(_UNSIGNED, first)
            self._head(_UNSIGNED, last)
        self._put(_BREAK)
        return self._buffer[: self._at]

    def _event(self, kind, payload):
        rest = payload[STAMP_BYTES:]
        self._text("event")
        if kind in _EVENTS:
            event, key = _EVENTS[kind]
            self._text(event)
            self._text(key)
            if kind == schema.ANCHOR:
                self._head(_UNSIGNED, schema.anchor_utc_ms(payload))
            elif kind == schema.BOOT:
                self._text(schema.CAUSES[rest[0]])
            else:
                self._head(_TEXT, len(rest))
                self._put(rest)
            return
        # Nothing is lost of it: whoever knows what it is can still read it.
        if kind == schema.READING:
            self._text("reading")
            self._text("schema")
            self._head(_UNSIGNED, id_of(payload))
            rest = rest[2:]
        else:
            self._text("unknown")
            self._text("kind")
            self._head(_UNSIGNED, kind)
        self._text("bytes")
        self._head(_BYTES, len(rest))
        self._put(rest)

    def _decimal(self, value, exponent):
        if exponent:
            self._put_byte(_DECIMAL_FRACTION)
            self._head(_ARRAY, 2)
            self._integer(exponent)
        self._integer(value)

    def _integer(self, value):
        if value < 0:
            self._head(_NEGATIVE, -1 - value)
        else:
            self._head(_UNSIGNED, value)

    def _text(self, text):
        data = text.encode()
        self._head(_TEXT, len(data))
        self._put(data)

    def _head(self, major, value):
        """Put an initial byte and its argument (section 3), in as few bytes as it takes."""
        if value < 24:
            self._put_byte(major | value)
            return
        size, code = 1, 24
        while size < 8 and value >> 8 * size:
            size *= 2
            code += 1
        self._put_byte(major | code)
        self._put(value.to_bytes(size, "big"))

    def _put_byte(self, byte):
        self._buffer[self._at] = byte
        self._at += 1

    def _put(self, data):
        end = self._at + len(data)
        self._buffer[self._at : end] = data
        self._at = end


# Kinds whose record is one value under one key.
_EVENTS = {
    schema.BOOT: ("boot", "cause"),
    schema.ANCHOR: ("anchor", "utc"),
    schema.RESULT: ("result", "json"),
    schema.ALARM: ("alarm", "json"),
    schema.SCHEMA: ("schema", "schema"),
}
