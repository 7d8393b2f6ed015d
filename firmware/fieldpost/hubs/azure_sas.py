"""Shared access signatures, made on the device.

Microsoft, "Control access to IoT Hub with shared access signatures": the signature is HMAC-SHA256 (RFC 2104)
with the device's key over the encoded resource, a newline and the expiry in Unix seconds.
"""

from binascii import a2b_base64, b2a_base64

from fieldpost import hmac_sha256
from fieldpost.hubs.properties import quote


def token(resource, key_base64, expiry_s):
    """Return the token for `resource` ("host/devices/id"), valid until `expiry_s` (Unix seconds)."""
    encoded = quote(resource)
    signed = hmac_sha256.digest(a2b_base64(key_base64), ("%s\n%d" % (encoded, expiry_s)).encode())
    signature = str(b2a_base64(signed), "ascii").strip()
    return "SharedAccessSignature sr=%s&sig=%s&se=%d" % (encoded, quote(signature), expiry_s)
