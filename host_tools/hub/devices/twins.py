"""The twins of all devices: changed in memory, durable when the change is answered, desired changes made known."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from host_tools.hub.devices.merge_patch import Json
from host_tools.hub.devices.twin import Twin
from host_tools.hub.store.writer import Writer

_UPSERT = "INSERT OR REPLACE INTO twins (device_id, document) VALUES (?, ?)"


class Twins:
    """Twins by device id. now_s: returns Unix seconds; notify(device_id, patch): the device is to hear of it.

    A twin that was touched stays in memory, since a change is seen by the next one before it is on disk.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        writer: Writer,
        now_s: Callable[[], float],
        notify: Callable[[str, Json], None],
    ) -> None:
        self._connection = connection
        self._writer = writer
        self._now_s = now_s
        self._notify = notify
        self._twins: dict[str, Twin] = {}

    def get(self, device_id: str) -> Twin:
        """Return the device's twin; not to be changed."""
        twin = self._twins.get(device_id)
        if twin is None:
            row = self._connection.execute("SELECT document FROM twins WHERE device_id = ?", (device_id,)).fetchone()
            twin = self._twins[device_id] = Twin.from_json(row[0]) if row else Twin()
        return twin

    def forget(self, device_id: str) -> None:
        """The device has been deleted."""
        self._twins.pop(device_id, None)

    def report(self, device_id: str, patch: Any, done: Callable[[int], None], failed: Callable[[], None]) -> None:
        """Apply a device's patch; `done` gets the new version when it is durable. DocumentRefused before."""
        twin = self.get(device_id).copy()
        version = twin.patch_reported(patch, self._now())
        self._save(device_id, twin, lambda: done(version), failed)

    def change(
        self,
        device_id: str,
        tags: Any,
        desired: Any,
        is_replaced: bool,
        done: Callable[[Twin], None],
        failed: Callable[[], None],
    ) -> None:
        """Apply a service's change; None leaves a part as it is. `done` gets the twin when it is durable.

        DocumentRefused before anything has changed.
        """
        twin = self.get(device_id).copy()
        told: Json | None = None
        if tags is not None:
            twin.change_tags(tags, is_replaced)
        if desired is not None:
            told = (twin.replace_desired if is_replaced else twin.patch_desired)(desired, self._now())

        def durable() -> None:
            if told is not None:
                self._notify(device_id, told)
            done(twin)

        self._save(device_id, twin, durable, failed)

    def _save(self, device_id: str, twin: Twin, durable: Callable[[], None], failed: Callable[[], None]) -> None:
        def not_written(error: Exception) -> None:
            self._twins.pop(device_id, None)  # what is on disk counts
            failed()

        self._twins[device_id] = twin
        self._writer.submit(_UPSERT, (device_id, twin.as_json()), lambda _: durable(), not_written)

    def _now(self) -> str:
        return iso_time(self._now_s())


def iso_time(moment_s: float) -> str:
    """Return Unix seconds as the hub writes a moment."""
    return datetime.fromtimestamp(moment_s, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
