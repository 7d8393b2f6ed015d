"""Who may be provisioned: single devices and groups of them, by key or by certificate.

Microsoft, "IoT Hub Device Provisioning Service", symmetric key and X.509 attestation: a device of a group signs with
HMAC-SHA256(group key, registration id), or shows a certificate that the group's authority has signed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import sqlite3
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from host_tools.errors import UserError
from host_tools.hub import sas
from host_tools.hub.devices import client_certificate
from host_tools.hub.devices.merge_patch import Json

INDIVIDUAL: Final = "individual"
GROUP: Final = "group"
_ID: Final = re.compile(r"[A-Za-z0-9\-._:]{1,128}")


@dataclass(frozen=True, slots=True)
class Enrollment:
    """keys: base64, empty for X.509; certificate: PEM of the device (individual) or of its authority (group).

    device_id: what the device is called at the hub, its registration id if empty. failure: why it is never assigned, to
    rehearse that; payload: handed to the device with the assignment. desired, tags: its first twin.
    """

    kind: str
    id: str
    primary_key: str = field(default="", repr=False)
    secondary_key: str = field(default="", repr=False)
    certificate: str = ""
    device_id: str = ""
    is_enabled: bool = True
    failure: str = ""
    payload: Any = None
    desired: Json = field(default_factory=dict)
    tags: Json = field(default_factory=dict)

    def keys(self, registration_id: str) -> list[str]:
        """Return the keys of one of its devices; empty for X.509."""
        own = [key for key in (self.primary_key, self.secondary_key) if key]
        return own if self.kind == INDIVIDUAL else [derived_key(key, registration_id) for key in own]

    def check(self, registration_id: str, scope_id: str, token: str, chain: list[bytes], now_s: float) -> None:
        """Raise SasRefused or CertificateRefused if that is not one of its devices."""
        if not self.certificate:
            sas.check(token, self.keys(registration_id), f"{scope_id}/registrations/{registration_id}", now_s)
        elif self.kind == GROUP:
            client_certificate.check_authority(chain, [self.certificate], registration_id, now_s)
        else:
            certificate = x509.load_pem_x509_certificate(self.certificate.encode())
            client_certificate.check_thumbprint(chain, [certificate.fingerprint(hashes.SHA256()).hex().upper()], now_s)
            client_certificate.check_common_name(chain, registration_id)


def derived_key(group_key: str, registration_id: str) -> str:
    """Return the base64 key of a device in a group."""
    digest = hmac.digest(base64.b64decode(group_key), registration_id.encode(), hashlib.sha256)
    return base64.b64encode(digest).decode()


class Enrollments:
    """All of them. Changes are durable when they return."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        rows = connection.execute("SELECT document FROM enrollments")
        found = (Enrollment(**json.loads(text)) for (text,) in rows)
        self._enrollments = {(one.kind, one.id): one for one in found}

    def put(self, kind: str, enrollment_id: str, document: dict[str, Any]) -> Enrollment:
        """Make or replace one from the fields of Enrollment; keys are made if there is no certificate. UserError."""
        if kind not in (INDIVIDUAL, GROUP) or not _ID.fullmatch(enrollment_id):
            raise UserError(f"enrollment {kind} {enrollment_id!r}: expected 1 to 128 letters, digits or -._:")
        try:
            made = Enrollment(**{**document, "kind": kind, "id": enrollment_id})
        except TypeError as error:
            raise UserError(f"enrollment {enrollment_id!r}: {error}") from error
        known = self._enrollments.get((kind, enrollment_id))
        if not made.certificate and not made.primary_key:
            keys = [known.primary_key, known.secondary_key] if known and known.primary_key else [_key(), _key()]
            made = Enrollment(**{**asdict(made), "primary_key": keys[0], "secondary_key": keys[1]})
        _check(made)
        self._connection.execute(
            "INSERT OR REPLACE INTO enrollments VALUES (?, ?, ?)", (kind, enrollment_id, json.dumps(asdict(made)))
        )
        self._enrollments[kind, enrollment_id] = made
        return made

    def remove(self, kind: str, enrollment_id: str) -> None:
        """Forget one; devices that were assigned stay. Nothing happens if it is unknown."""
        self._connection.execute("DELETE FROM enrollments WHERE kind = ? AND id = ?", (kind, enrollment_id))
        self._enrollments.pop((kind, enrollment_id), None)

    def all(self) -> list[Enrollment]:
        """Return all of them."""
        return [self._enrollments[name] for name in sorted(self._enrollments)]

    def of(self, registration_id: str) -> list[Enrollment]:
        """Return those that the device may belong to: its own, or else every group."""
        own = self._enrollments.get((INDIVIDUAL, registration_id))
        return [own] if own is not None else [one for one in self.all() if one.kind == GROUP]


def _check(made: Enrollment) -> None:
    texts = (made.primary_key, made.secondary_key, made.certificate, made.device_id, made.failure)
    if not all(isinstance(text, str) for text in texts):
        raise UserError(f"enrollment {made.id!r}: keys, certificate, device_id and failure are texts")
    if not isinstance(made.desired, dict) or not isinstance(made.tags, dict):
        raise UserError(f"enrollment {made.id!r}: desired and tags are objects")
    if made.device_id and made.kind == GROUP:
        raise UserError(f"enrollment {made.id!r}: the devices of a group keep their registration ids")
    try:
        for key in (made.primary_key, made.secondary_key):
            if key and not 16 <= len(base64.b64decode(key, validate=True)) <= 64:
                raise ValueError("a key has 16 to 64 bytes")
        if made.certificate:
            x509.load_pem_x509_certificate(made.certificate.encode())
    except ValueError as error:
        raise UserError(f"enrollment {made.id!r}: a key is no base64, or the certificate no PEM: {error}") from error


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(64)).decode()
