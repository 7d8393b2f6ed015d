"""Symmetric keys: new ones, and those of a group's devices, which nobody has to store.

Source: Microsoft, "Symmetric key attestation" of the Device Provisioning Service, on group enrolments.
"""

import base64
import binascii
import hashlib
import hmac
import secrets

from host_tools.errors import UserError

_KEY_BYTES = 32
_GROUP_KEY_BYTES_MIN = 16


def new_key() -> str:
    """Return a fresh key, base64."""
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def derive_key(group_key: str, registration_id: str) -> str:
    """Return the key of a device of a group, base64. UserError if `group_key` is none."""
    try:
        key = base64.b64decode(group_key, validate=True)
    except binascii.Error:
        key = b""
    if len(key) < _GROUP_KEY_BYTES_MIN:
        raise UserError("the group's key is not right: expected base64 of at least 16 bytes")
    return base64.b64encode(hmac.digest(key, registration_id.encode(), hashlib.sha256)).decode()
