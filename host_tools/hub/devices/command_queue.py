"""Cloud-to-device messages of one device: durable, in order, until they are completed or expire.

Microsoft, "Send cloud-to-device messages from an IoT hub": at most 50 wait; what was delivered is locked until
PUBACK completes it; what was not completed is delivered again, and a message past its expiry is dead-lettered.

    add -> enqueued --lock--> locked --complete--> completed          Success
              ^  |               |
              |  expire          release (the connection or the lock has ended)
              |  v               v
              |  dead-lettered   delivered too often --> dead-lettered    Expired, DeliveryCountExceeded
              +------------------+

A message that asks for it leaves a record of what became of it (feedback).
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from host_tools.errors import UserError
from host_tools.hub.behaviour import Behaviour
from host_tools.hub.devices import feedback
from host_tools.hub.store.writer import Writer

DEPTH_MAX: Final = 50
# Of the newest messages that left the queue it is known what became of them, for who looks.
ENDED_KEPT: Final = 20

_INSERT: Final = (
    "INSERT INTO commands (device_id, message_id, system, properties, body, enqueued_ms, expiry_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)


class QueueFull(UserError):
    """As many commands wait for the device as IoT Hub keeps (403004 DeviceMaximumQueueDepthExceeded)."""


@dataclass(slots=True, eq=False)
class QueuedMessage:
    """One message. delivery_count: how often it was sent to the device; expiry_ms: Unix ms or None.

    packet_id: the MQTT packet id under which the device's session knows it, 0 for none.
    locked_until_ms: end of the lock, None while it is not locked.
    """

    message_id: str
    system: dict[str, str]
    properties: dict[str, str]
    body: bytes
    expiry_ms: int | None
    sequence: int = 0
    delivery_count: int = 0
    packet_id: int = 0
    locked_until_ms: float | None = None

    @property
    def is_locked(self) -> bool:
        return self.locked_until_ms is not None


class CommandQueue:
    """The queue of one device.

    A message enters it when the file has it. It leaves at once and the file follows, so that kill -9 in
    between brings one message a second time and never loses one.

    report(message_id, outcome): what becomes of messages that ask for feedback.
    """

    def __init__(
        self,
        device_id: str,
        connection: sqlite3.Connection,
        writer: Writer,
        behaviour: Behaviour | None = None,
        report: Callable[[str, str], None] | None = None,
    ) -> None:
        self._device_id = device_id
        self._writer = writer
        self._behaviour = behaviour or Behaviour()
        self._report = report
        self._reserved = 0
        # (message id, outcome), the newest last; and how many left unread. Both begin anew with the hub.
        self.ended: deque[tuple[str, str]] = deque(maxlen=ENDED_KEPT)
        self.dead_letters = 0
        rows = connection.execute(
            "SELECT message_id, system, properties, body, expiry_ms, sequence, delivery_count, packet_id FROM commands"
            " WHERE device_id = ? AND state = 'enqueued' ORDER BY sequence",
            (device_id,),
        )
        self._messages = {
            row[5]: QueuedMessage(row[0], json.loads(row[1]), json.loads(row[2]), *row[3:]) for row in rows
        }

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def packet_ids(self) -> set[int]:
        """The packet ids that the device's session knows."""
        return {message.packet_id for message in self._messages.values()} - {0}

    def forget_packet_ids(self) -> None:
        """The device has begun a clean session: everything that waits is sent as new to it."""
        for message in self._messages.values():
            message.packet_id = 0

    def waiting(self) -> list[QueuedMessage]:
        """Return everything that waits, locked or not, oldest first."""
        return list(self._messages.values())

    def deliverable(self) -> list[QueuedMessage]:
        """Return what waits and is not locked, oldest first."""
        return [message for message in self._messages.values() if not message.is_locked]

    def add(self, message: QueuedMessage, enqueued_ms: int, added: Callable[[], None]) -> asyncio.Future[None]:
        """Store a message; the future is done when it is durable. UserError if the queue is full.

        added: called when the message is in the queue, even if nobody waits for the future any more: what has
        reached the file is delivered without a restart too.
        """
        if len(self._messages) + self._reserved >= DEPTH_MAX:
            raise QueueFull(
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
        for message in self.waiting():
            is_held = message.locked_until_ms is not None and message.locked_until_ms > now_ms
            if message.expiry_ms is not None and message.expiry_ms <= now_ms and not is_held:
                self._end(message, feedback.EXPIRED)

    def lock(self, message: QueuedMessage, packet_id: int, now_ms: float) -> None:
        """It is on its way to the device and is not to be sent by anybody else."""
        message.packet_id = packet_id
        message.locked_until_ms = now_ms + self._behaviour.c2d_lock_s * self._behaviour.patience * 1000

    def release(self, message: QueuedMessage) -> None:
        """Its connection has ended without completing it."""
        if message.sequence not in self._messages:
            return
        message.locked_until_ms = None
        behaviour = self._behaviour
        if behaviour.c2d_counts_every_return and message.delivery_count >= behaviour.c2d_max_delivery_count:
            self._end(message, feedback.COUNT_EXCEEDED)

    def delivered(self, message: QueuedMessage) -> None:
        """Note one more delivery."""
        message.delivery_count += 1
        self._writer.submit(
            "UPDATE commands SET delivery_count = ?, packet_id = ? WHERE sequence = ?",
            (message.delivery_count, message.packet_id, message.sequence),
        )

    def complete(self, message: QueuedMessage) -> None:
        """The device has acknowledged it. One whose lock had ended may have been dead-lettered meanwhile."""
        if message.sequence in self._messages:
            self._end(message, feedback.SUCCESS)

    def purge(self) -> int:
        """Dead-letter everything, locked or not, and return how many there were."""
        messages = self.waiting()
        for message in messages:
            self._end(message, feedback.PURGED)
        return len(messages)

    def _end(self, message: QueuedMessage, outcome: str) -> None:
        del self._messages[message.sequence]
        self.ended.append((message.message_id, outcome))
        self.dead_letters += outcome != feedback.SUCCESS
        if self._report is not None and feedback.is_wanted(message.properties.get(feedback.ACK_PROPERTY), outcome):
            self._report(message.message_id, outcome)
        self._writer.submit("DELETE FROM commands WHERE sequence = ?", (message.sequence,))
