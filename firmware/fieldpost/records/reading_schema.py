"""What the bytes of a reading mean: a text that is stored beside the readings, so that any firmware can read them.

    temperature,i2,-2,C;pressure,u3,-2,hPa;humidity,u2,-2,%

For each quantity its name, its integer (i signed, u unsigned; bytes, little endian), the power of ten that the
integer counts, and its unit. A reading carries the lower 16 bits of the text's CRC-32 and the integers.
"""

from binascii import crc32

from fieldpost.limits import RECORD_BYTES_MAX, STAMP_BYTES

_VALUES_AT = STAMP_BYTES + 2


class ReadingSchema:
    """A parsed text. Raises ValueError if it is none, or if its readings would not fit in a record."""

    def __init__(self, text):
        if '"' in text or "\\" in text:
            raise ValueError("quotes and backslashes have no place in a schema")
        self.text = text
        self.id = crc32(text.encode()) & 0xFFFF
        self._quantities = [_quantity(part) for part in text.split(";")]
        self.reading_bytes = _VALUES_AT + sum([size for _, size, _, _ in self._quantities])
        if self.reading_bytes > RECORD_BYTES_MAX:
            raise ValueError("a reading of %d bytes" % self.reading_bytes)
        self._json = b""  # a whole reading as JSON, made when the first one leaves
        self._numbers = []  # what is to be put in there

    def pack(self, buffer, values):
        """Write schema id and values (integers, in order) behind the stamp; return the reading's length.

        Raises ValueError for a value that its integer cannot hold.
        """
        buffer[STAMP_BYTES] = self.id & 0xFF
        buffer[STAMP_BYTES + 1] = self.id >> 8
        at = _VALUES_AT
        for index in range(len(self._quantities)):
            quantity_name, size, is_signed, _ = self._quantities[index]
            value = values[index]
            span = 1 << 8 * size
            if not (-span // 2 <= value < span // 2 if is_signed else 0 <= value < span):
                raise ValueError("%s %d does not fit in %d bytes" % (quantity_name, value, size))
            buffer[at : at + size] = (value & (span - 1)).to_bytes(size, "little")
            at += size
        return at

    def values(self, payload):
        """Return the integers of a reading, in order."""
        found = []
        at = _VALUES_AT
        for _, size, is_signed, _ in self._quantities:
            found.append(_integer(payload[at : at + size], is_signed))
            at += size
        return found

    def json_members(self, payload):
        """Return the values of a reading as members of a JSON object, exact to the last digit."""
        members = []
        for pair in self.named(self.values(payload)):
            members.append('"%s":%s' % pair)
        return ",".join(members)

    def json_reading(self, number, utc_ms, boot, uptime_ms, payload):
        """Return a whole reading as JSON (bytes), or None if it holds -0.5 or the like, which is rare.

        In one formatting, for records leave by the thousand: this is what costs most of a drain on a board.
        """
        numbers = self._numbers
        if not numbers:
            self._json = self._json_template()
            numbers.extend([0] * self._json.replace(b"%%", b"").count(b"%"))
        numbers[0] = number
        numbers[1] = utc_ms
        numbers[2] = boot
        numbers[3] = uptime_ms
        slot = 4
        at = _VALUES_AT
        for _, size, is_signed, exponent in self._quantities:
            value = _integer(payload[at : at + size], is_signed)
            at += size
            if exponent >= 0:
                numbers[slot] = value * 10**exponent
                slot += 1
                continue
            whole, part = divmod(abs(value), 10**-exponent)
            if value < 0:
                if not whole:
                    return None  # %d knows no -0
                whole = -whole
            numbers[slot] = whole
            numbers[slot + 1] = part
            slot += 2
        return self._json % tuple(numbers)

    def _json_template(self):
        members = []
        for name, _, _, exponent in self._quantities:
            members.append('"%s":%%d%s' % (name.replace("%", "%%"), ".%%0%dd" % -exponent if exponent < 0 else ""))
        return ('{"n":%d,"t":%d,"boot":%d,"up":%d,' + ",".join(members) + "}").encode()

    def quantities(self):
        """Return pairs of name and the power of ten that its integer counts."""
        pairs = []
        for quantity in self._quantities:
            pairs.append((quantity[0], quantity[3]))
        return pairs

    def named(self, values):
        """Return pairs of name and decimal text. values: integers, in order."""
        pairs = []
        for (name, exponent), value in zip(self.quantities(), values):
            pairs.append((name, decimal(value, exponent)))
        return pairs


def _integer(data, is_signed):
    value = int.from_bytes(data, "little")
    if is_signed and value >> 8 * len(data) - 1:
        value -= 1 << 8 * len(data)
    return value


def id_of(payload):
    """Return the schema id of a reading."""
    return payload[STAMP_BYTES] | payload[STAMP_BYTES + 1] << 8


def decimal(value, exponent):
    """Return value * 10**exponent as decimal digits: floats have 7 of them on boards, and none here."""
    if exponent >= 0:
        return "%d" % (value * 10**exponent)
    digits = "%d" % abs(value)
    digits = "0" * (1 - exponent - len(digits)) + digits
    return ("-" if value < 0 else "") + digits[:exponent] + "." + digits[exponent:]


def _quantity(part):
    fields = part.split(",")
    if len(fields) != 4:
        raise ValueError("a quantity is name,integer,exponent,unit: %s" % part)
    integer = fields[1]
    size = int(integer[1:])
    exponent = int(fields[2])
    if integer[0] not in "iu" or not 1 <= size <= 8 or not -9 <= exponent <= 9:
        raise ValueError("not a number that can be kept: %s" % part)
    return fields[0], size, integer[0] == "i", exponent
