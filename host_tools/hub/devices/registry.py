"""Device identities: kept in SQLite, looked up in memory."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
import secrets
import sqlite3
import time
from dataclasses import dataclass, field
from typing import Any, Final

from host_tools.errors import UserError

# Microsoft, "Understand the identity registry": up to 128 of these characters. `+`, `#` and `?` are allowed
# there and left out here, since they mean something else in topics.
_ID: Final = re.compile(r"[A-Za-z0-9\-:.%_*!(),=@;$']{1,128}")
_KEY_BYTES: Final = 32
# SHA-1 or SHA-256, as tools print it.
_THUMBPRINT: Final = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")

SAS: Final = "sas"
SELF_SIGNED: Final = "selfSigned"
CERTIFICATE_AUTHORITY: Final = "certificateAuthority"


@dataclass(frozen=True, slots=True)
class Device:
    """An identity. Keys are base64; both are valid at all times, as are both thumbprints (upper-case hex).

    authentication: SAS, SELF_SIGNED or CERTIFICATE_AUTHORITY. revision: grows with every change.
    """

    id: str
    generation_id: str
    status: str
    primary_key: str = field(repr=False)
    secondary_key: str = field(repr=False)
    authentication: str = SAS
    primary_thumbprint: str = ""
    secondary_thumbprint: str = ""
    status_reason: str = ""
    revision: int = 1

    @property
    def is_enabled(self) -> bool:
        return self.status == "enabled"

    @property
    def etag(self) -> str:
        """What If-Match is compared with."""
        return base64.b64encode(str(self.revision).encode()).decode()


_COLUMNS: Final = tuple(column.name for column in dataclasses.fields(Device))
_UPSERT: Final = f"INSERT OR REPLACE INTO devices ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


class DeviceRegistry:
    """All devices of a hub. Changes are durable when they return."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        rows = connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM devices")
        self._devices = {row[0]: Device(*row) for row in rows}

    def __len__(self) -> int:
        return len(self._devices)

    def create(self, device_id: str, **attributes: str) -> Device:
        """Return the device of that id, new with `attributes` (fields of Device) or known as it is.

        UserError for an id that a topic cannot carry, a key that is no base64, or a malformed thumbprint.
        """
        if not _ID.fullmatch(device_id):
            raise UserError(f"device id {device_id!r}: expected 1 to 128 letters, digits or -:._%*!(),=@;$'")
        known = self._devices.get(device_id)
        if known is not None:
            return known
        return self._save(Device(device_id, str(time.time_ns()), "enabled", "", ""), attributes)

    def update(self, device_id: str, **attributes: str) -> Device:
        """Change a device that exists; UserError as `create`, KeyError for an unknown one."""
        known = self._devices[device_id]
        return self._save(dataclasses.replace(known, revision=known.revision + 1), attributes)

    def delete(self, device_id: str) -> None:
        """Forget a device and its twin, session, queue and feedback; its messages stay. KeyError if unknown."""
        del self._devices[device_id]
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("DELETE FROM devices WHERE id = ?", (device_id,))
        for table in ("twins", "sessions", "commands"):
            self._connection.execute(f"DELETE FROM {table} WHERE device_id = ?", (device_id,))
        self._connection.execute("DELETE FROM feedback WHERE json_extract(record, '$.deviceId') = ?", (device_id,))
        self._connection.execute("COMMIT")

    def get(self, device_id: str) -> Device | None:
        """Return the device of that id, or None."""
        return self._devices.get(device_id)

    def list(self) -> list[Device]:
        """Return all devices, by id."""
        return sorted(self._devices.values(), key=lambda device: device.id)

    def _save(self, device: Device, attributes: dict[str, Any]) -> Device:
        device = _checked(dataclasses.replace(device, **attributes))
        self._connection.execute(_UPSERT, tuple(getattr(device, name) for name in _COLUMNS))
        self._devices[device.id] = device
        return device


def connection_string(hostname: str, device_id: str, primary_key: str) -> str:
    """Return what an SDK connects with; without a key the device has a certificate, and it does not say where."""
    secret = f"SharedAccessKey={primary_key}" if primary_key else "x509=true"
    return f"HostName={hostname};DeviceId={device_id};{secret}"


def _checked(device: Device) -> Device:
    """Return the device with keys where they are missing; UserError for what is malformed."""
    if device.authentication not in (SAS, SELF_SIGNED, CERTIFICATE_AUTHORITY):
        raise UserError(f"authentication {device.authentication!r}: use {SAS}, {SELF_SIGNED}, {CERTIFICATE_AUTHORITY}")
    if device.status not in ("enabled", "disabled"):
        raise UserError(f"status {device.status!r}: use enabled or disabled")
    changes: dict[str, Any] = {}
    for name in ("primary_key", "secondary_key"):
        key = getattr(device, name)
        if not key and device.authentication == SAS:
            changes[name] = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
        elif key and not _is_key(key):
            raise UserError(f"{name} of {device.id!r} is not the base64 of 16 to 64 bytes")
    for name in ("primary_thumbprint", "secondary_thumbprint"):
        thumbprint = getattr(device, name).replace(":", "").upper()
        if thumbprint and not _THUMBPRINT.fullmatch(thumbprint):
            raise UserError(f"{name} of {device.id!r} is not a SHA-1 or SHA-256 in hexadecimal digits")
        changes[name] = thumbprint
    return dataclasses.replace(device, **changes)


def _is_key(key: str) -> bool:
    try:
        return 16 <= len(base64.b64decode(key, validate=True)) <= 64
    except (binascii.Error, ValueError):
        return False
