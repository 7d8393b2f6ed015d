"""Which devices are connected, since when, and when each was last heard of; it begins anew with the hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Presence:
    """One connection for each device. now_ms: returns Unix milliseconds."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._connections: dict[str, Any] = {}
        self._changed_ms: dict[str, int] = {}
        self._heard_ms: dict[str, int] = {}

    def __len__(self) -> int:
        """How many devices are connected."""
        return len(self._connections)

    def __contains__(self, device_id: str) -> bool:
        return device_id in self._connections

    def get(self, device_id: str) -> Any:
        """Return the device's connection, None if it has none."""
        return self._connections.get(device_id)

    def attach(self, device_id: str, connection: Any) -> Any:
        """The device is connected; return its older connection, None if there was none."""
        older = self._connections.get(device_id)
        self._connections[device_id] = connection
        if older is None:
            self._changed_ms[device_id] = self._now_ms()
        self.heard(device_id, self._now_ms())
        return older

    def detach(self, device_id: str, connection: Any) -> None:
        """A connection has ended; nothing happens if it is no more the device's."""
        if self._connections.get(device_id) is connection:
            del self._connections[device_id]
            self._changed_ms[device_id] = self._now_ms()

    def heard(self, device_id: str, now_ms: int) -> None:
        """The device has connected, or sent a message."""
        self._heard_ms[device_id] = now_ms

    def forget(self, device_id: str) -> None:
        """The device has been deleted."""
        self._changed_ms.pop(device_id, None)
        self._heard_ms.pop(device_id, None)

    def changed_ms(self, device_id: str) -> int | None:
        """When it last connected or went, None if that was before the hub began."""
        return self._changed_ms.get(device_id)

    def heard_ms(self, device_id: str) -> int | None:
        """When it was last heard of, None if that was before the hub began."""
        return self._heard_ms.get(device_id)
