"""Device identities: created once, kept in SQLite, looked up in memory."""

from __future__ import annotations

import base64
import re
import secrets
import sqlite3
import time
from dataclasses import dataclass, field

from host_tools.errors import UserError

# Microsoft, "Understand the identity registry": up to 128 of these characters. `+`, `#` and `?` are allowed
# there and left out here, since they mean something else in topics.
_ID = re.compile(r"[A-Za-z0-9\-:.%_*!(),=@;$']{1,128}")
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Device:
    """An identity. Keys are base64; both are valid at all times."""

    id: str
    generation_id: str
    status: str
    primary_key: str = field(repr=False)
    secondary_key: str = field(repr=False)

    @property
    def is_enabled(self) -> bool:
        return self.status == "enabled"


class DeviceRegistry:
    """All devices of a hub."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        rows = connection.execute("SELECT id, generation_id, status, primary_key, secondary_key FROM devices")
        self._devices = {row[0]: Device(*row) for row in rows}

    def create(self, device_id: str) -> Device:
        """Return the device of that id, new or known; UserError for an id that a topic cannot carry."""
        if not _ID.fullmatch(device_id):
            raise UserError(f"device id {device_id!r}: expected 1 to 128 letters, digits or -:._%*!(),=@;$'")
        known = self._devices.get(device_id)
        if known is not None:
            return known
        device = Device(device_id, str(time.time_ns()), "enabled", _new_key(), _new_key())
        self._connection.execute(
            "INSERT INTO devices (id, generation_id, status, primary_key, secondary_key) VALUES (?, ?, ?, ?, ?)",
            (device.id, device.generation_id, device.status, device.primary_key, device.secondary_key),
        )
        self._devices[device_id] = device
        return device

    def get(self, device_id: str) -> Device | None:
        """Return the device of that id, or None."""
        return self._devices.get(device_id)

    def list(self) -> list[Device]:
        """Return all devices, by id."""
        return sorted(self._devices.values(), key=lambda device: device.id)


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
