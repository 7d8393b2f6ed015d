"""What the hub remembers of a device between connections: its subscriptions (MQTT 3.1.1 section 3.1.2.4).

Commands in flight are remembered by their queue. A device that asks for a clean session has nothing remembered.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

from host_tools.hub.store.writer import Writer

Subscriptions = dict[str, int]  # topic filter to granted QoS

_UPSERT = "INSERT OR REPLACE INTO sessions (device_id, subscriptions) VALUES (?, ?)"


class StoredSessions:
    """Subscriptions by device id, of devices that did not ask for a clean session."""

    def __init__(self, connection: sqlite3.Connection, writer: Writer) -> None:
        self._writer = writer
        rows = connection.execute("SELECT device_id, subscriptions FROM sessions")
        self._sessions: dict[str, Subscriptions] = {device: json.loads(text) for device, text in rows}

    def resume(self, device_id: str) -> tuple[Subscriptions, bool]:
        """Return the device's subscriptions and whether there was a session; there is one from now on."""
        is_known = device_id in self._sessions
        if not is_known:
            self.keep(device_id, {}, None)
        return dict(self._sessions[device_id]), is_known

    def keep(self, device_id: str, subscriptions: Subscriptions, done: Callable[[], None] | None) -> None:
        """Remember these; `done` is called when they are durable."""
        self._sessions[device_id] = dict(subscriptions)
        self._writer.submit(_UPSERT, (device_id, json.dumps(subscriptions)), None if done is None else lambda _: done())

    def end(self, device_id: str) -> None:
        """Forget the device's session, if there is one."""
        if self._sessions.pop(device_id, None) is not None:
            self._writer.submit("DELETE FROM sessions WHERE device_id = ?", (device_id,))
