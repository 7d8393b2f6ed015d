"""Shared access signatures as IoT Hub checks them.

Microsoft, "Control access to IoT Hub with shared access signatures". The resource is taken verbatim from the
token for the signature, since senders differ in how they encode it, and decoded only to see what it covers.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Final
from urllib.parse import unquote

_PREFIX: Final = "SharedAccessSignature "
# Decimal seconds, and no more digits than a clock will ever need: a device writes this field.
_EXPIRY: Final = re.compile(r"[0-9]{1,12}")


class SasRefused(Exception):
    """The token does not open what it is shown for; the text says why, for the log."""


def check(token: str, keys: list[str], resource: str, now_s: float) -> float:
    """Return the expiry (Unix seconds) of a token that is good for `resource`; raises SasRefused.

    keys: base64, primary first; resource: "host/devices/id", undecorated.
    """
    fields = _fields(token)
    scope, signature, expiry = (fields.get(name, "") for name in ("sr", "sig", "se"))
    if not scope or not signature or not _EXPIRY.fullmatch(expiry):
        raise SasRefused("sr, sig or se is missing or malformed")
    expiry_s = float(expiry)
    if not any(_signed_by(key, scope, expiry, unquote(signature)) for key in keys):
        raise SasRefused("signature does not match")
    if expiry_s <= now_s:
        raise SasRefused(f"expired {now_s - expiry_s:.0f} s ago")
    if not _covers(unquote(scope), resource):
        raise SasRefused(f"token is for {unquote(scope)}, not for {resource}")
    return expiry_s


def sign(key: str, scope: str, expiry: str) -> str:
    """Return the base64 signature of an encoded scope and an expiry in Unix seconds.

    IoT Hub decodes the key; Event Hubs, whose scopes begin with sb://, takes it as text ("Authenticate access to Event
    Hubs resources using shared access signatures").
    """
    secret = key.encode() if unquote(scope).startswith("sb://") else base64.b64decode(key)
    digest = hmac.digest(secret, f"{scope}\n{expiry}".encode(), hashlib.sha256)
    return base64.b64encode(digest).decode()


def resource(scope: str) -> str:
    """Return what an encoded scope names, without scheme: "host/devices/id"."""
    return unquote(scope).rpartition("://")[2].strip("/")


def _fields(token: str) -> dict[str, str]:
    if not token.startswith(_PREFIX):
        raise SasRefused("not a shared access signature")
    pairs = (part.partition("=") for part in token[len(_PREFIX) :].split("&"))
    return {key: value for key, _, value in pairs}


def _signed_by(key: str, scope: str, expiry: str, signature: str) -> bool:
    try:
        return hmac.compare_digest(sign(key, scope, expiry).encode(), signature.encode())
    except ValueError:  # the stored key is no base64
        return False


def _covers(scope: str, resource: str) -> bool:
    """Whether `scope` is `resource` or whole segments at its start; the host's name ignores case."""
    given, wanted = scope.rpartition("://")[2].strip("/").split("/"), resource.split("/")
    return given[0].lower() == wanted[0].lower() and given[1:] == wanted[1 : len(given)]
