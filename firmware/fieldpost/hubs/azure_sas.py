"""Shared access signatures, made on the device.

Microsoft, "Control access to IoT Hub with shared access signatures": the signature is HMAC-SHA256 (RFC 2104)
with the device's key over the encoded resource, a newline and the expiry in Unix seconds.
"""

import hashlib
from binascii import a2b_base64, b2a_base64

from fieldpost.compat import const
from fieldpost.hubs.properties import quote

_BLOCK_BYTES = const(64)  # of SHA-256, FIPS 180-4 section 1


def hmac_sha256(key, message):
    """Return the 32 bytes of HMAC-SHA256. MicroPython has no hmac module."""
    if len(key) > _BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    padded = key + bytes(_BLOCK_BYTES - len(key))
    inner = hashlib.sha256(bytes([byte ^ 0x36 for byte in padded]))
    inner.update(message)
    outer = hashlib.sha256(bytes([byte ^ 0x5C for byte in padded]))
    outer.update(inner.digest())
    return outer.digest()


def token(resource, key_base64, expiry_s):
    """Return the token for `resource` ("host/devices/id"), valid until `expiry_s` (Unix seconds)."""
    encoded = quote(resource)
    signed = hmac_sha256(a2b_base64(key_base64), ("%s\n%d" % (encoded, expiry_s)).encode())
    signature = str(b2a_base64(signed), "ascii").strip()
    return "SharedAccessSignature sr=%s&sig=%s&se=%d" % (encoded, quote(signature), expiry_s)
