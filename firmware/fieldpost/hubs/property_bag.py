"""The property bag of IoT Hub topics: `key=value&key=value`, percent-encoded (RFC 3986 section 2.1).

A key without `=` has no value; a plus sign stands for itself. Loaded when a message with one arrives.
"""


def unquote(text):
    """Return percent-encoded `text` (str) decoded; ValueError if it is not UTF-8 or an escape is cut off."""
    if "%" not in text:
        return text
    data = text.encode()
    out = bytearray()
    index = 0
    while index < len(data):
        if data[index] == 0x25:
            digits = data[index + 1 : index + 3]
            if len(digits) < 2:
                raise ValueError("escape cut off")
            out.append(int(str(digits, "ascii"), 16))
            index += 3
        else:
            out.append(data[index])
            index += 1
    return str(bytes(out), "utf-8")


def decode(bag):
    """Return the dict of a property bag (str); None stands for a key without value. ValueError if malformed."""
    found = {}
    for part in bag.lstrip("?").split("&"):
        if part:
            key, equals, value = part.partition("=")
            found[unquote(key)] = unquote(value) if equals else None
    return found
