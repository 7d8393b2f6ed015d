"""Cloud-to-device messages of one device: durable, in order, until they are completed or expire.

Microsoft, "Send cloud-to-device messages from an IoT hub": at most 50 wait; what was delivered is locked until
PUBACK completes it; what was not completed is delivered again, and a message past its expiry is dead-lettered.

    add -> enqueued --lock--> locked --complete--> completed
              ^  |               |
              |  expire          release (the connection has ended)
              |  v               |
              |  dead-lettered   |
              +------------------+
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from host_tools.errors import UserError
from host_tools.hub.store.writer import Writer

DEPTH_MAX: Final = 50

_INSERT: Final = (
    "INSERT INTO commands (device_id, message_id, system, properties, body, enqueued_ms, expiry_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(slots=True, eq=False)
class QueuedMessage:
    """One message. delivery_count: how often it was sent to the device; expiry_ms: Unix ms or None."""

    message_id: str
    system: dict[str, str]
    properties: dict[str, str]
    body: bytes
    expiry_ms: int | None
    sequence: int = 0
    delivery_count: int = 0
    is_locked: bool = False


class CommandQueue:
    """The queue of one device.

    A message enters it when the file has it. It leaves at once and the file follows, so that kill -9 in
    between brings one message a second time and never loses one.
    """

    def __init__(self, device_id: str, connection: sqlite3.Connection, writer: Writer) -> None:
        self._device_id = device_id
        self._writer = writer
        self._reserved = 0
        rows = connection.execute(
            "SELECT message_id, system, properties, body, expiry_ms, sequence, delivery_count FROM commands"
            " WHERE device_id = ? AND state = 'enqueued' ORDER BY sequence",
            (device_id,),
        )
        self._messages = {
            row[5]: QueuedMessage(row[0], json.loads(row[1]), json.loads(row[2]), *row[3:]) for row in rows
        }

    def __len__(self) -> int:
        return len(self._messages)

    def deliverable(self) -> list[QueuedMessage]:
        """Return what waits and is not locked, oldest first."""
        return [message for message in self._messages.values() if not message.is_locked]

    def add(self, message: QueuedMessage, enqueued_ms: int, added: Callable[[], None]) -> asyncio.Future[None]:
        """Store a message; the future is done when it is durable. UserError if the queue is full.

        added: called when the message is in the queue, even if nobody waits for the future any more: what has
        reached the file is delivered without a restart too.
        """
        if len(self._messages) + self._reserved >= DEPTH_MAX:
            raise UserError(
                f"{DEPTH_MAX} commands already wait for {self._device_id}: bring the device back, or let them expire"
            )
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def stored(sequence: int) -> None:
            self._reserved -= 1
            message.sequence = sequence
            self._messages[sequence] = message
            if not durable.done():
                durable.set_result(None)
            added()

        def failed(error: Exception) -> None:
            self._reserved -= 1
            if not durable.done():
                durable.set_exception(UserError(f"the hub cannot store the command: {error}; it was not sent"))

        self._reserved += 1
        values = (
            self._device_id,
            message.message_id,
            json.dumps(message.system),
            json.dumps(message.properties),
            message.body,
            enqueued_ms,
            message.expiry_ms,
        )
        self._writer.submit(_INSERT, values, stored, failed)
        return durable

    def expire(self, now_ms: float) -> None:
        """Dead-letter what is past its expiry. A locked message is the device's until its lock ends."""
        for message in self.deliverable():
            if message.expiry_ms is not None and message.expiry_ms <= now_ms:
                self._end(message, "dead-lettered")

    def lock(self, message: QueuedMessage) -> None:
        """It is on its way to the device and is not to be sent by anybody else."""
        message.is_locked = True

    def release(self, message: QueuedMessage) -> None:
        """Its connection has ended without completing it."""
        message.is_locked = False

    def delivered(self, message: QueuedMessage) -> None:
        """Note one more delivery."""
        message.delivery_count += 1
        self._writer.submit(
            "UPDATE commands SET delivery_count = ? WHERE sequence = ?", (message.delivery_count, message.sequence)
        )

    def complete(self, message: QueuedMessage) -> None:
        """The device has acknowledged it."""
        self._end(message, "completed")

    def _end(self, message: QueuedMessage, state: str) -> None:
        del self._messages[message.sequence]
        self._writer.submit("UPDATE commands SET state = ? WHERE sequence = ?", (state, message.sequence))
