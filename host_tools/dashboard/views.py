"""What the page shows, as JSON: a list of devices, and one device.

    GET view/devices?find=TEXT&from=N        up to PAGE_DEVICES of those whose id holds TEXT
    GET view/devices/ID?after=N&twin=N       `recent` only if there are messages behind N, `twin` only if it is another
                                             version: what a page has already is not sent again

Moments are Unix milliseconds, None for never.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from host_tools.dashboard.watch import Watch
from host_tools.hub import Hub
from host_tools.hub.devices.registry import Device
from host_tools.hub.web.message import HttpError

PAGE_DEVICES: Final = 100
# The store is read for so long at once, and then for four times as long not: the hub has other work.
_READ_S: Final = 0.1
_REST: Final = 4

T = TypeVar("T")


class Views:
    """Answers for a hub. The store is read in a thread of its own, the hub in the event loop."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._watch = Watch(hub.directory)
        self._thread = ThreadPoolExecutor(1, "hub-page")
        self._rests_until = 0.0

    async def devices(self, find: str, start: int) -> dict[str, Any]:
        """Return the hub's state, and devices."""
        hub = self._hub
        matching = [one for one in hub.devices.list() if find.casefold() in one.id.casefold()]
        shown = matching[start : start + PAGE_DEVICES]
        told, read_to = await self._ask(lambda watch: (watch.devices([one.id for one in shown]), watch.after))
        return {
            "hub": {
                "hostname": hub.hostname,
                "now_ms": hub.now_ms(),
                "devices": len(hub.devices),
                "connected": len(hub.presence),
                "messages": hub.last_sequence,
                "read_to": read_to,
            },
            "matching": len(matching),
            "from": start,
            "devices": [self._device(one, told.get(one.id)) for one in shown],
        }

    async def device(self, device_id: str, after: int, twin_version: int) -> dict[str, Any]:
        """Return one device; HttpError 404 for an unknown one."""
        hub = self._hub
        known = hub.devices.get(device_id)
        if known is None:
            raise HttpError(404, f"the hub knows no device {device_id!r}")

        def look(watch: Watch) -> tuple[dict[str, Any] | None, dict[str, Any] | None, int]:
            told = watch.devices([device_id]).get(device_id)
            recent = watch.recent(device_id)
            return told, recent.as_json() if recent.newest > after else None, recent.newest

        told, recent, newest = await self._ask(look)
        queue, twin = hub.command_queue(device_id), hub.twins.get(device_id)
        found = {
            "now_ms": hub.now_ms(),
            "device": self._device(known, told),
            "newest": newest,
            "waiting": [
                {"message_id": one.message_id, "deliveries": one.delivery_count, "expiry_ms": one.expiry_ms}
                for one in queue.waiting()
            ],
            "ended": [{"message_id": message_id, "outcome": outcome} for message_id, outcome in queue.ended],
            "twin_version": twin.version,
        }
        if recent is not None:
            found["recent"] = recent
        if twin.version != twin_version:
            found["twin"] = {
                "tags": twin.tags,
                "desired": {"version": twin.desired.version, "values": twin.desired.values},
                "reported": {"version": twin.reported.version, "values": twin.reported.values},
            }
        return found

    def close(self) -> None:
        """Let the store go."""
        self._thread.submit(self._watch.close)
        self._thread.shutdown()

    async def _ask(self, question: Callable[[Watch], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._after_a_look, question)

    def _after_a_look(self, question: Callable[[Watch], T]) -> T:
        began = time.monotonic()
        if began >= self._rests_until:
            self._watch.advance(_READ_S)
            ended = time.monotonic()
            self._rests_until = ended + _REST * (ended - began)
        return question(self._watch)

    def _device(self, known: Device, told: dict[str, Any] | None) -> dict[str, Any]:
        hub, queue = self._hub, self._hub.command_queue(known.id)
        told = told or {"messages": 0, "last_ms": 0, "audit": None}
        heard_ms = max(hub.presence.heard_ms(known.id) or 0, told["last_ms"])
        return {
            "id": known.id,
            "is_enabled": known.is_enabled,
            "is_connected": hub.is_connected(known.id),
            "since_ms": hub.presence.changed_ms(known.id),
            "heard_ms": heard_ms or None,
            "messages": told["messages"],
            "waiting": hub.pending(known.id),
            "dead_letters": queue.dead_letters,
            "audit": told["audit"],
        }
