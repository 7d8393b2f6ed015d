"""HMAC-SHA256 (RFC 2104), which MicroPython has no module for."""

import hashlib

from fieldpost.compat import const

_BLOCK_BYTES = const(64)  # of SHA-256, FIPS 180-4 section 1


def digest(key, message):
    """Return the 32 bytes."""
    if len(key) > _BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    padded = key + bytes(_BLOCK_BYTES - len(key))
    inner = hashlib.sha256(bytes([byte ^ 0x36 for byte in padded]))
    inner.update(message)
    outer = hashlib.sha256(bytes([byte ^ 0x5C for byte in padded]))
    outer.update(inner.digest())
    return outer.digest()


def is_equal(one, other):
    """Compare two digests in a time that does not tell where they differ."""
    difference = len(one) ^ len(other)
    for index in range(min(len(one), len(other))):
        difference |= one[index] ^ other[index]
    return not difference
