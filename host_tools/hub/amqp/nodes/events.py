"""Device-to-cloud messages as the built-in, Event-Hub-compatible endpoint hands them out.

Microsoft, "Read device-to-cloud messages from the built-in endpoint" and "Create and read IoT Hub messages".
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from host_tools.hub.amqp import message, performatives
from host_tools.hub.amqp.link import LinkError, Outgoing
from host_tools.hub.amqp.message import Message
from host_tools.hub.amqp.performatives import Attach
from host_tools.hub.amqp.types import Described, Long, Timestamp
from host_tools.hub.devices import registry
from host_tools.hub.devices.registry import Device
from host_tools.hub.service.partitions import (
    PARTITION_COUNT,
    Extent,
    Reader,
    ReaderRefused,
    partition_of,
)
from host_tools.hub.store import events
from host_tools.hub.store.events import Row, StoredMessage

if TYPE_CHECKING:
    from host_tools.hub.hub import Hub

_EPOCH: Final = "com.microsoft:epoch"
_TRACKING: Final = "com.microsoft:enable-receiver-runtime-metric"
_SELECTOR: Final = re.compile(
    r"amqp\.annotation\.x-opt-(?P<what>offset|sequence-number|enqueued-time(?:-utc)?) *(?P<how>>=?) *"
    r"'?(?P<value>-?[0-9]{1,18}|@latest)'?"
)
_LATEST: Final = "@latest"
# Messages of other partitions that one turn of the loop may pass over.
_LOOKED_AT_MAX: Final = 1000
_ROWS: Final = 32
# As IoT Hub names them; SAS tokens of the device's own keys are what devices have here.
_TYPES: Final = {registry.SAS: "sas", registry.SELF_SIGNED: "x509", registry.CERTIFICATE_AUTHORITY: "x509"}


class EventsOfPartition:
    """One partition as one link reads it."""

    def __init__(
        self,
        hub: Hub,
        group: str,
        partition: int,
        attach: Attach,
        ready: Callable[[], None],
        drop: Callable[[LinkError], None],
    ) -> None:
        """LinkError for a partition or a place that there is not, or that another receiver has."""
        if partition >= PARTITION_COUNT:
            raise LinkError("amqp:not-found", f"partition {partition}: there are 0 to {PARTITION_COUNT - 1}")
        self._hub = hub
        self._partition = partition
        self._ready = ready
        self._loop = asyncio.get_running_loop()
        self._after = self._start(attach)
        self._rows: Iterator[Row] | None = None
        self._messages: Iterator[StoredMessage] = iter(())
        self._is_called_back = False
        self._extent: Extent | None = None
        self._task: asyncio.Task[None] | None = None
        epoch = (attach.properties or {}).get(_EPOCH)
        self._group = group
        self._reader = Reader(epoch if isinstance(epoch, int) else None, lambda refused: drop(_as_link_error(refused)))
        try:
            hub.partitions.join(group, partition, self._reader)
        except ReaderRefused as refused:
            raise _as_link_error(refused) from refused
        wishes = attach.desired_capabilities
        self._is_tracking = _TRACKING in (wishes if isinstance(wishes, list) else [wishes])
        if self._is_tracking:
            self._task = self._loop.create_task(self._track())
        hub.on_stored(self._call_back)

    def next(self) -> Outgoing | None:
        """Return the next message of the partition. It is sent settled: who reads remembers how far."""
        if self._is_tracking and self._extent is None:
            return None
        for _ in range(_LOOKED_AT_MAX):
            stored = next(self._messages, None)
            if stored is not None:
                self._after = stored.sequence
                return Outgoing(self._message(stored).as_bytes())
            if self._rows is None:
                self._rows = events.rows(self._hub.reading, None, self._after, _ROWS)
            row = next(self._rows, None)
            if row is None:
                self._rows = None
                return None
            if partition_of(row.device_id) == self._partition:
                self._messages = row.messages(self._after)
            else:
                self._after = row.last
        self._call_back()
        return None

    def close(self) -> None:
        """The link is gone."""
        if self._task is not None:
            self._task.cancel()
        self._hub.remove_stored_listener(self._call_back)
        self._hub.partitions.leave(self._group, self._partition, self._reader)

    def _call_back(self) -> None:
        """Something may be there; once for all that came in this turn of the loop."""
        if not self._is_called_back:
            self._is_called_back = True
            self._loop.call_soon(self._come)

    def _come(self) -> None:
        self._is_called_back = False
        self._ready()

    async def _track(self) -> None:
        """Who wants to know with each message where the partition ends gets that as of its attach, or newer."""
        self._extent = (await self._hub.partitions.extents())[self._partition]
        self._ready()

    def _start(self, attach: Attach) -> int:
        """Return the sequence number after which to begin."""
        selectors = [_text(value) for value in performatives.filters(attach.source).values()]
        after = 0
        for text in selectors:
            found = _SELECTOR.fullmatch(text.strip())
            if found is None:
                raise LinkError("amqp:invalid-field", f"filter {text[:100]!r} is not one of an Event Hubs receiver")
            if found["value"] == _LATEST:
                after = events.last_sequence(self._hub.reading)
                continue
            # `> n` begins after n, `>= n` after n - 1; a time is the same in milliseconds.
            value = int(found["value"]) - (found["how"] == ">=")
            is_time = found["what"].startswith("enqueued-time")
            after = events.last_sequence_until(self._hub.reading, value) if is_time else max(0, value)
        return after

    def _message(self, stored: StoredMessage) -> Message:
        annotations: dict[str, Any] = {
            "iothub-connection-device-id": stored.device_id,
            "iothub-connection-auth-method": _auth_method(self._hub.devices.get(stored.device_id)),
            "iothub-connection-auth-generation-id": _generation(self._hub.devices.get(stored.device_id)),
            "iothub-enqueuedtime": Timestamp(stored.enqueued_unix_ms),
            "iothub-message-source": "Telemetry",
            "x-opt-sequence-number": Long(stored.sequence),
            "x-opt-offset": str(stored.sequence),
            "x-opt-enqueued-time": Timestamp(stored.enqueued_unix_ms),
        }
        properties: dict[str, Any] = {"to": f"/devices/{stored.device_id}/messages/events"}
        for name, value in stored.system.items():
            given = _property(name, value)
            if given is None:
                annotations[name] = value
            else:
                properties[name] = given
        found = Message(stored.body, None, properties, dict(stored.properties), annotations)
        if self._extent is not None:
            extent = self._extent
            last, time_ms = max((extent.last, extent.last_enqueued_ms), (stored.sequence, stored.enqueued_unix_ms))
            found.delivery_annotations = {
                "last_enqueued_sequence_number": Long(last),
                "last_enqueued_offset": str(last),
                "last_enqueued_time_utc": Timestamp(time_ms),
                "runtime_info_retrieval_time_utc": Timestamp(self._hub.now_ms()),
            }
        return found


def _as_link_error(refused: ReaderRefused) -> LinkError:
    return LinkError("amqp:link:stolen" if refused.is_stolen else "amqp:resource-limit-exceeded", str(refused))


def _text(value: Any) -> str:
    """A filter is a described text."""
    value = value.value if isinstance(value, Described) else value
    return value if isinstance(value, str) else value.decode("latin-1") if isinstance(value, bytes) else ""


def _property(name: str, value: str) -> Any:
    """Return a system property in AMQP's type for it, None if AMQP has no such property, or it does not fit."""
    if name not in message.NAMES:
        return None
    if name == "user-id":
        return value.encode()
    if name in ("content-type", "content-encoding"):
        return value if value.isascii() else None
    if name == "absolute-expiry-time":
        try:
            return Timestamp(int(datetime.fromisoformat(value).timestamp() * 1000))
        except (ValueError, OverflowError):
            return None
    return value


def _auth_method(device: Device | None) -> str:
    kind = _TYPES.get(device.authentication, "sas") if device is not None else "sas"
    return json.dumps({"scope": "device", "type": kind, "issuer": "iothub", "acceptingIpFilterRule": None})


def _generation(device: Device | None) -> str:
    return device.generation_id if device is not None else ""
