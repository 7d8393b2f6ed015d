"""What a value from outside must look like, and the sentence that says so when it does not.

Configuration files and command arguments are declared with these shapes. A shape's `check` returns the
value, with defaults filled in, or raises Mismatch before anything has changed:

    pins.relay.pulse_max_ms is "abc": expected an integer from 1 to 3600000 (milliseconds)
"""

from binascii import a2b_base64, b2a_base64

from fieldpost.compat import const
from fieldpost.errors import Mismatch

_SHOWN_CHARS_MAX = const(24)  # of a wrong value; the rest of it helps nobody and may fill a log
_NAME_CHARS = b"abcdefghijklmnopqrstuvwxyz0123456789_-"


class Integer:
    """A whole number from `minimum` to `maximum`; `or_zero` also allows 0, which then means none."""

    def __init__(self, minimum, maximum, unit="", or_zero=False):
        self._minimum = minimum
        self._maximum = maximum
        self._unit = unit
        self._or_zero = or_zero

    @property
    def expected(self):
        return "%san integer from %d to %d%s" % (
            "0 for none, or " if self._or_zero else "",
            self._minimum,
            self._maximum,
            " (%s)" % self._unit if self._unit else "",
        )

    def check(self, value, where):
        # bool is a subclass of int: true is no number of milliseconds.
        if type(value) is int and (self._minimum <= value <= self._maximum or (self._or_zero and value == 0)):
            return value
        raise mismatch(where, value, self.expected)


class Number:
    """A number, whole or not."""

    expected = "a number"

    def check(self, value, where):
        if type(value) is int or type(value) is float:
            return value
        raise mismatch(where, value, self.expected)


class Choice:
    """One of a few values, strings or integers."""

    def __init__(self, *values):
        self._values = values

    @property
    def expected(self):
        return ("one of " if len(self._values) > 1 else "") + ", ".join([_plain(value) for value in self._values])

    def check(self, value, where):
        for allowed in self._values:
            if type(value) is type(allowed) and value == allowed:
                return allowed  # the text that was read need not stay beside it
        raise mismatch(where, value, self.expected)


class Text:
    """A string of 1 to `chars_max` printable characters, of the ASCII ones in `chars` if given.

    secret: keeps it out of messages.
    """

    def __init__(self, chars_max, what="text", chars=None, secret=False):
        self._chars_max = chars_max
        self._chars = chars
        self._secret = secret
        self.expected = "%s of 1 to %d characters" % (what, chars_max)

    def check(self, value, where):
        if isinstance(value, str) and 1 <= len(value) <= self._chars_max:
            for byte in value.encode("utf-8", "surrogatepass"):  # a board keeps each character that it iterates over
                if byte < 0x20 or (self._chars is not None and byte not in self._chars):
                    break
            else:
                return value
        if self._secret:
            raise Mismatch("%s is not right: expected %s" % (where, self.expected))
        raise mismatch(where, value, self.expected)


def name(chars_max):
    """Return the shape of a name that needs no quoting anywhere."""
    return Text(chars_max, "a name (a-z, 0-9, _ and -)", _NAME_CHARS)


class Base64:
    """Base64 text of `bytes_min` to `bytes_max` bytes. Its value never appears in a message."""

    def __init__(self, bytes_min, bytes_max, what):
        self._bytes_min = bytes_min
        self._bytes_max = bytes_max
        self.expected = "%s, %d to %d bytes in base64" % (what, bytes_min, bytes_max)

    def check(self, value, where):
        if isinstance(value, str) and self._bytes_min <= self._decoded_bytes(value) <= self._bytes_max:
            return value
        raise Mismatch("%s is not right: expected %s" % (where, self.expected))

    def _decoded_bytes(self, value):
        try:
            decoded = a2b_base64(value)
        except ValueError:
            return -1
        # Decoders pass over characters that do not belong; encoding it again shows them.
        return len(decoded) if b2a_base64(decoded).strip() == value.encode() else -1


class ListOf:
    """A list of `count_min` to `count_max` values of one shape."""

    def __init__(self, shape, count_max, count_min=0):
        self._shape = shape
        self._count_min = count_min
        self._count_max = count_max
        counts = "%d" % count_min if count_min == count_max else "%d to %d" % (count_min, count_max)
        self.expected = "a list, number of entries: " + counts

    def check(self, value, where):
        if not isinstance(value, (list, tuple)) or not self._count_min <= len(value) <= self._count_max:
            raise mismatch(where, value, self.expected)
        return [self._shape.check(value[i], "%s[%d]" % (where, i)) for i in range(len(value))]


class MapOf:
    """An object whose keys are of one shape and whose values are of another; `count_max` entries at most."""

    def __init__(self, key_shape, shape, count_max):
        self._key_shape = key_shape
        self._shape = shape
        self._count_max = count_max
        self.expected = "an object of up to %d entries" % count_max

    def check(self, value, where):
        if not isinstance(value, dict) or len(value) > self._count_max:
            raise mismatch(where, value, self.expected)
        checked = {}
        for key in sorted(value):
            self._key_shape.check(key, "a key of %s" % where)
            checked[key] = self._shape.check(value[key], _inside(where, key))
        return checked


class Optional:
    """A field that may be absent; `default` then takes its place, checked like any value, or None."""

    def __init__(self, shape, default=None):
        self.shape = shape
        self.default = default

    @property
    def expected(self):
        return self.shape.expected


class Fields:
    """An object with known keys. fields: pairs of key and shape, or key and Optional; others are refused."""

    def __init__(self, *fields):
        self._fields = fields
        self._keys = tuple([key for key, _ in fields])

    @property
    def expected(self):
        return "an object with " + (", ".join(self._keys) if self._keys else "no keys")

    def check(self, value, where):
        if not isinstance(value, dict):
            raise mismatch(where or "the object", value, self.expected)
        for key in sorted(value):
            if key not in self._keys:
                known = "one of " + ", ".join(self._keys) if self._keys else "none"
                raise Mismatch("%s is not a known key: expected %s" % (_inside(where, _trimmed(key)), known))
        return {key: _field(value, key, shape, where) for key, shape in self._fields}


def mismatch(where, value, expected):
    """Return the Mismatch that says `value` stands at `where` instead of what is `expected`."""
    return Mismatch("%s is %s: expected %s" % (where, shown(value), expected))


def shown(value):
    """Return a short text of a wrong value, as it would stand in JSON."""
    if isinstance(value, str):
        return '"%s"' % _trimmed(value)
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list of %d" % len(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _trimmed(str(value))


def _plain(value):
    return shown(value) if isinstance(value, bool) else str(value)


def _field(value, key, shape, where):
    inside = _inside(where, key)
    if not isinstance(shape, Optional):
        if key not in value:
            raise Mismatch("%s is missing: expected %s" % (inside, shape.expected))
        return shape.check(value[key], inside)
    if key in value:
        return shape.shape.check(value[key], inside)
    return None if shape.default is None else shape.shape.check(shape.default, inside)


def _inside(where, key):
    return "%s.%s" % (where, key) if where else key


def _trimmed(text):
    return text if len(text) <= _SHOWN_CHARS_MAX else text[: _SHOWN_CHARS_MAX - 3] + "..."
