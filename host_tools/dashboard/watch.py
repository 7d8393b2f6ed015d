"""Follows the hub's store for the page: messages counted, numbers audited, the newest kept of devices looked at.

    store  5 6 7 8 9 ...  <-- advance: what came since, for a bounded time
             |  |
             |  +-- recent     of the few devices that are looked at: series of numbers, newest messages
             +----- followed   of every device: how many, the audit, where its newest messages are

Nobody who does not look pays for it. Everything here belongs to one thread, which reads the store by a connection of
its own while the event loop goes on.
"""

from __future__ import annotations

import sqlite3
import time
from array import array
from collections import OrderedDict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from host_tools.audit import Finding, Inquiry
from host_tools.dashboard.readings import numbers
from host_tools.errors import UserError
from host_tools.hub.service.message_text import as_json
from host_tools.hub.store import database, events
from host_tools.hub.store.events import StoredMessage

# Devices of which there is something to tell; a store may hold messages of many that are long deleted.
DEVICES_MAX: Final = 10_000
# Devices whose messages are kept taken apart.
LOOKED_AT_MAX: Final = 8
MESSAGES_SHOWN: Final = 20
BODY_SHOWN_CHARS: Final = 4000
PROPERTIES_SHOWN: Final = 40
PROPERTY_CHARS: Final = 200
POINTS_MAX: Final = 300
SERIES_MAX: Final = 16
# Separate ranges of numbers that the audit of one device may take, as a hostile one would like to have many.
RANGES_MAX: Final = 20_000
# Where a device's newest messages are: rows of the store, each of which may hold several.
_ROWS_KEPT: Final = 128
# Taken apart at most when a device is looked at for the first time.
_BYTES_AT_FIRST: Final = 2 * 1024 * 1024
# In one go through the store; then it is somebody else's turn.
_PAGE_ROWS: Final = 20


class Recent:
    """The newest of one device."""

    def __init__(self) -> None:
        self.messages: deque[dict[str, Any]] = deque(maxlen=MESSAGES_SHOWN)
        self.series: dict[str, deque[tuple[int, float]]] = {}

    def note(self, message: StoredMessage) -> None:
        """One more message."""
        self.messages.append(_shortened(as_json(message)))
        for moment, found in numbers(message):
            for name, number in found.items():
                points = self.series.get(name)
                if points is None and len(self.series) < SERIES_MAX:
                    points = self.series[name] = deque(maxlen=POINTS_MAX)
                if points is not None:
                    points.append((moment, number))

    @property
    def newest(self) -> int:
        """The number of the newest message, 0 if there is none."""
        return int(self.messages[-1]["sequence"]) if self.messages else 0

    def as_json(self) -> dict[str, Any]:
        """Return series as lists of [Unix ms, number], and messages, the newest first."""
        series = {name: list(points) for name, points in self.series.items()}
        return {"series": series, "messages": list(reversed(self.messages))}


class _Followed:
    """What is known of one device."""

    def __init__(self, device_id: str) -> None:
        self.count = 0
        self.last_ms = 0
        self.rows = array("q")
        self.inquiry: Inquiry | None = Inquiry(device_id)
        self._finding: Finding | None = None

    def note(self, row: events.Row, recent: Recent | None) -> None:
        self.count += row.count
        self.last_ms = row.enqueued_ms
        self.rows.append(row.sequence)
        if len(self.rows) > _ROWS_KEPT:
            del self.rows[0]
        self._finding = None
        for message in row.messages():
            if self.inquiry is not None:
                self.inquiry.hear(message)
            if recent is not None:
                recent.note(message)
        if self.inquiry is not None and self.inquiry.size > RANGES_MAX:
            self.inquiry = None

    def as_json(self) -> dict[str, Any]:
        return {"messages": self.count, "last_ms": self.last_ms, "audit": self._audit()}

    def _audit(self) -> dict[str, Any] | None:
        """None for a device that is no fieldpost agent."""
        if self.inquiry is None:
            return {"is_too_scattered": True}
        if self._finding is None:
            self._finding = self.inquiry.close()
        found = self._finding
        if not found.accounts and not found.unreadable:
            return None
        sums = ("delivered_unique", "duplicates", "lost_reported", "missing", "out_of_order")
        return {**{name: found.total(name) for name in sums}, "unreadable": found.unreadable}


class Watch:
    """Follows the store in a hub's folder, from its beginning."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._connection: sqlite3.Connection | None = None
        self._devices: dict[str, _Followed] = {}
        self._looked_at: OrderedDict[str, Recent] = OrderedDict()
        self.after = 0

    def advance(self, seconds: float) -> None:
        """Read on for so long, or to the end. UserError if the store cannot be read."""
        until = time.monotonic() + seconds
        try:
            for row in events.rows(self._store(), None, self.after, _PAGE_ROWS):
                self._note(row)
                if time.monotonic() > until:
                    return
        except sqlite3.Error as error:
            raise UserError(f"the store cannot be read: {error}") from error

    def devices(self, device_ids: list[str]) -> dict[str, dict[str, Any]]:
        """Return for each of these devices that sent something: messages, last_ms, audit."""
        return {one: self._devices[one].as_json() for one in device_ids if one in self._devices}

    def recent(self, device_id: str) -> Recent:
        """Return the newest of a device, which is kept up from now on."""
        found = self._looked_at.get(device_id)
        if found is None:
            found = self._looked_at[device_id] = Recent()
            for row in self._newest(device_id):
                for message in row.messages():
                    found.note(message)
        self._looked_at.move_to_end(device_id)
        while len(self._looked_at) > LOOKED_AT_MAX:
            self._looked_at.popitem(last=False)
        return found

    def close(self) -> None:
        """Let the store go."""
        if self._connection is not None:
            self._connection.close()

    def _store(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = database.open_for_reading(self._directory)
        return self._connection

    def _note(self, row: events.Row) -> None:
        self.after = row.last
        followed = self._devices.get(row.device_id)
        if followed is None:
            if len(self._devices) >= DEVICES_MAX:
                return
            followed = self._devices[row.device_id] = _Followed(row.device_id)
        followed.note(row, self._looked_at.get(row.device_id))

    def _newest(self, device_id: str) -> Iterator[events.Row]:
        followed = self._devices.get(device_id)
        found: list[events.Row] = []
        size = 0
        for sequence in reversed(followed.rows if followed else ()):
            row = events.row(self._store(), sequence)
            if row is None or size > _BYTES_AT_FIRST:
                break
            found.append(row)
            size += len(row.packets)
        return reversed(found)


def _shortened(message: dict[str, Any]) -> dict[str, Any]:
    """Cut what is long: a body has up to 256 KB, and so much is kept of 20 messages of each device looked at."""
    for name in ("body", "body_json", "body_base64"):
        text = message.get(name)
        if text is not None and len(text) > BODY_SHOWN_CHARS:
            message[name], message["is_shortened"] = text[:BODY_SHOWN_CHARS], True
    for name in ("properties", "system"):
        shown = list(message[name].items())[:PROPERTIES_SHOWN]
        message[name] = {key[:PROPERTY_CHARS]: value and value[:PROPERTY_CHARS] for key, value in shown}
    if message["message_id"] is not None:
        message["message_id"] = message["message_id"][:PROPERTY_CHARS]
    return message
