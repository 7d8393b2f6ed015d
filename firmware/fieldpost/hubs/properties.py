"""Values of the property bag of IoT Hub topics, as they are sent (see property_bag for what arrives)."""

_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


def quote(text):
    """Return `text` (str) percent-encoded."""
    out = []
    for byte in text.encode():
        out.append(chr(byte) if byte in _PLAIN else "%%%02X" % byte)
    return "".join(out)
