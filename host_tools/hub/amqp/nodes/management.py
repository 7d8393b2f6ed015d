"""Properties of the built-in events endpoint and its partitions, asked for at $management.

OASIS, "AMQP Management", with what Microsoft's Event Hubs clients send: operation READ of type com.microsoft:eventhub
or com.microsoft:partition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from host_tools.hub.amqp.message import Message
from host_tools.hub.amqp.nodes.request_response import response
from host_tools.hub.amqp.types import Int, Long, Timestamp
from host_tools.hub.service.partitions import PARTITION_COUNT

if TYPE_CHECKING:
    from host_tools.hub.hub import Hub

_HUB: Final = "com.microsoft:eventhub"
_PARTITION: Final = "com.microsoft:partition"


class Management:
    """Answers such requests. Any name of the endpoint is taken: a hub has one."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def answer(self, request: Message) -> Message:
        """Return the properties that are asked for."""
        asked = request.application
        name, kind = str(asked.get("name", "")), asked.get("type")
        if asked.get("operation") != "READ" or kind not in (_HUB, _PARTITION):
            return response(400, f"operation READ of type {_HUB} or {_PARTITION} is expected")
        if kind == _HUB:
            value = {
                "name": name,
                "type": _HUB,
                "created_at": Timestamp(self._hub.created_ms),
                "partition_count": Int(PARTITION_COUNT),
                "partition_ids": [str(number) for number in range(PARTITION_COUNT)],
            }
            return response(200, "OK", value)
        partition = str(asked.get("partition", ""))
        if partition not in map(str, range(PARTITION_COUNT)):
            return response(404, f"partition {partition[:20]!r}: there are 0 to {PARTITION_COUNT - 1}")
        known = (await self._hub.partitions.extents())[int(partition)]
        value = {
            "name": name,
            "type": _PARTITION,
            "partition": partition,
            "begin_sequence_number": Long(known.first),
            "last_enqueued_sequence_number": Long(known.last),
            "last_enqueued_offset": str(known.last),
            "last_enqueued_time_utc": Timestamp(known.last_enqueued_ms),
            "is_partition_empty": known.last < 0,
        }
        return response(200, "OK", value)
