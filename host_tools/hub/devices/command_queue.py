"""Cloud-to-device messages of one device: durable, in order, until they are completed or expire.

Microsoft, "Send cloud-to-device messages from an IoT hub": at most 50 wait; PUBACK completes; what was not
completed is delivered again, and a message past its expiry is dead-lettered.
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from dataclasses import dataclass
from typing import Final

from host_tools.errors import UserError
from host_tools.hub.store.writer import Writer

DEPTH_MAX: Final = 50
BODY_BYTES_MAX: Final = 64 * 1024

_INSERT = (
    "INSERT INTO commands (device_id, message_id, system, properties, body, enqueued_ms, expiry_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(slots=True)
class QueuedMessage:
    """One message. delivery_count: how often it was sent to the device; expiry_ms: Unix ms or None."""

    sequence: int
    message_id: str
    system: dict[str, str]
    properties: dict[str, str]
    body: bytes
    expiry_ms: int | None
    delivery_count: int = 0


class CommandQueue:
    """The queue of one device. Memory and file agree: memory changes when the file has."""

    def __init__(self, device_id: str, connection: sqlite3.Connection, writer: Writer) -> None:
        self._device_id = device_id
        self._writer = writer
        self._reserved = 0
        rows = connection.execute(
            "SELECT sequence, message_id, system, properties, body, expiry_ms, delivery_count FROM commands"
            " WHERE device_id = ? AND state = 'enqueued' ORDER BY sequence",
            (device_id,),
        )
        self.messages = deque(
            QueuedMessage(
                sequence, message_id, json.loads(system), json.loads(properties), body, expiry, count
            )
            for sequence, message_id, system, properties, body, expiry, count in rows
        )

    async def add(self, message: QueuedMessage, enqueued_ms: int) -> None:
        """Store a message; durable when it returns. UserError if the queue is full or the body too large."""
        if len(message.body) > BODY_BYTES_MAX:
            raise UserError(f"body of {len(message.body)} bytes: a command takes {BODY_BYTES_MAX} at most")
        if len(self.messages) + self._reserved >= DEPTH_MAX:
            raise UserError(
                f"{DEPTH_MAX} commands already wait for {self._device_id}: "
                "bring the device back, or let them expire"
            )
        self._reserved += 1
        try:
            message.sequence = await self._writer.write(
                _INSERT,
                (
                    self._device_id,
                    message.message_id,
                    json.dumps(message.system),
                    json.dumps(message.properties),
                    message.body,
                    enqueued_ms,
                    message.expiry_ms,
                ),
            )
        finally:
            self._reserved -= 1
        self.messages.append(message)

    def drop_expired(self, now_ms: float) -> None:
        """Dead-letter what is past its expiry."""
        for message in [m for m in self.messages if m.expiry_ms is not None and m.expiry_ms <= now_ms]:
            self._end(message, "dead-lettered")

    def delivered(self, message: QueuedMessage) -> None:
        """Note one more delivery."""
        message.delivery_count += 1
        self._writer.submit(
            "UPDATE commands SET delivery_count = ? WHERE sequence = ?",
            (message.delivery_count, message.sequence),
        )

    def complete(self, message: QueuedMessage) -> None:
        """The device has acknowledged it."""
        self._end(message, "completed")

    def _end(self, message: QueuedMessage, state: str) -> None:
        self.messages.remove(message)
        self._writer.submit("UPDATE commands SET state = ? WHERE sequence = ?", (state, message.sequence))
