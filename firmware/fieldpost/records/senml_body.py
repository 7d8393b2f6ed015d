"""A message body as SenML in JSON (RFC 8428), for programs that know that and nothing of fieldpost.

    [{"bn":"1a2b3c4d/","bt":1795447452.123,"n":"n","v":120},{"n":"boot","v":3},{"n":"up","u":"s","v":123.456},
     {"n":"temperature","u":"Cel","v":21.50}, ...,{"n":"lost","vs":"100-119"}]

The base name is the ring's id. A record begins with its number, `n`, and its base time; base time 0 stands where that
boot never learned the time of day (section 4.5.3 would take it for now: `up` tells more). Events are `event` and what
else JSON says of them; the text of an answer or an alarm stands in `json`, bytes that nobody understands in `bytes`.
"""

from binascii import b2a_base64

from fieldpost.limits import STAMP_BYTES
from fieldpost.records import schema
from fieldpost.records.reading_schema import decimal, id_of
from fieldpost.records.renderer import Renderer

# Names of units in schemas, and what section 12.1 and RFC 8798 call them; a percentage is a hundredth of a ratio.
_UNITS = {"C": "Cel", "1": ""}


class SenmlBody(Renderer):
    """RFC 8428 section 5."""

    properties = "%24.ct=application%2Fsenml%2Bjson"
    separator = b","
    range_bytes = 54

    def __init__(self, ring, timeline, schemas):
        super().__init__(ring, timeline, schemas)
        self._base = ""
        self._forms_of = None  # the schema that `_forms` are of
        self._forms = ()

    def begin(self):
        """Return the bytes before the first record."""
        self._base = '"bn":"%08x/",' % self._ring.ring_id
        return b"["

    def record(self, number, kind, payload):
        """Return the SenML records that make one record of the ring."""
        boot, uptime_ms = schema.boot_of(payload), schema.uptime_ms_of(payload)
        utc_ms = self._timeline.utc_ms(boot, uptime_ms)
        found = [
            '{%s"bt":%s,"n":"n","v":%d},{"n":"boot","v":%d},{"n":"up","u":"s","v":%s}'
            % (self._base, "0" if utc_ms is None else decimal(utc_ms, -3), number, boot, decimal(uptime_ms, -3))
        ]
        self._base = ""
        reading_schema = self._schema_of(kind, payload)
        if reading_schema is not None:
            if self._forms_of is not reading_schema:
                self._forms_of = reading_schema
                self._forms = [_form(quantity.split(",")) for quantity in reading_schema.text.split(";")]
            for index, value in enumerate(reading_schema.values(payload)):
                form, exponent = self._forms[index]
                found.append(form % decimal(value, exponent))
        else:
            found += _event(kind, payload)
        return ",".join(found).encode()

    def end(self, lost):
        """Return the bytes after the last record."""
        found = [
            '{%s"n":"lost","vs":"%d-%d"}' % ("" if pair is not lost[0] else self._base, pair[0], pair[1])
            for pair in lost
        ]
        if found and not self._base:
            found[0] = "," + found[0]
        return (",".join(found) + "]").encode()


def _form(quantity):
    """Return the SenML record of a quantity, with a place for its value, and the power of ten that fits its unit."""
    name, _, exponent, unit = quantity
    exponent = int(exponent)
    if unit == "%" and name == "humidity":
        unit = "%RH"
    elif unit == "%":
        unit = "/"
        exponent -= 2
    unit = _UNITS.get(unit, unit)
    member = '"u":"%s",' % unit if unit else ""
    return ('{"n":"%s",%s"v":' % (name, member)).replace("%", "%%") + "%s}", exponent


def _event(kind, payload):
    rest = payload[STAMP_BYTES:]
    if kind == schema.BOOT:
        return [_string("event", "boot"), _string("cause", schema.CAUSES[rest[0]])]
    if kind == schema.ANCHOR:
        utc = decimal(schema.anchor_utc_ms(payload), -3)
        return [_string("event", "anchor"), '{"n":"utc","u":"s","v":%s}' % utc]
    if kind in (schema.RESULT, schema.ALARM):
        return [_string("event", "result" if kind == schema.RESULT else "alarm"), _string("json", str(rest, "utf-8"))]
    if kind == schema.SCHEMA:
        return [_string("event", "schema"), _string("schema", str(rest, "utf-8"))]
    if kind == schema.READING:
        what = [_string("event", "reading"), '{"n":"schema","v":%d}' % id_of(payload)]
        rest = rest[2:]
    else:
        what = [_string("event", "unknown"), '{"n":"kind","v":%d}' % kind]
    # Data is base64 with the alphabet for URLs and without padding (section 4.3).
    data = str(b2a_base64(rest), "ascii").strip().rstrip("=").replace("+", "-").replace("/", "_")
    return what + ['{"n":"bytes","vd":"%s"}' % data]


def _string(name, text):
    return '{"n":"%s","vs":"%s"}' % (name, text.replace("\\", "\\\\").replace('"', '\\"'))
