"""What became of cloud-to-device messages, for the service that asked to be told.

Microsoft, "Send cloud-to-device messages from an IoT hub", message feedback: the property iothub-ack asks for
it. A batch stays until the service has completed it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from host_tools.hub.devices.twins import iso_time
from host_tools.hub.store.writer import Writer

SUCCESS: Final = "Success"
EXPIRED: Final = "Expired"
COUNT_EXCEEDED: Final = "DeliveryCountExceeded"
REJECTED: Final = "Rejected"
PURGED: Final = "Purged"

ACK_PROPERTY: Final = "iothub-ack"
BATCH_MAX: Final = 64
CONTENT_TYPE: Final = "application/vnd.microsoft.iothub.feedback.json"


@dataclass(frozen=True, slots=True)
class Batch:
    """Records, oldest first. through: the sequence number of the last one, to complete the batch by."""

    through: int
    records: list[dict[str, Any]]

    @property
    def body(self) -> bytes:
        return json.dumps(self.records).encode()


def is_wanted(ack: str | None, outcome: str) -> bool:
    """Whether a message with this iothub-ack asks to hear of this outcome."""
    return ack == "full" or ack == ("positive" if outcome == SUCCESS else "negative")


class Feedback:
    """Records that wait for the service. now_s: returns Unix seconds; added: called when there is one more."""

    def __init__(self, connection: sqlite3.Connection, writer: Writer, now_s: Callable[[], float]) -> None:
        self._writer = writer
        self._now_s = now_s
        rows = connection.execute("SELECT sequence, record FROM feedback ORDER BY sequence")
        self._records: dict[int, dict[str, Any]] = {sequence: json.loads(text) for sequence, text in rows}
        self._listeners: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._records)

    def on_added(self, callback: Callable[[], None]) -> None:
        """Call back in the loop when a record is durable."""
        self._listeners.append(callback)

    def remove_listener(self, callback: Callable[[], None]) -> None:
        """Call it no more."""
        self._listeners.remove(callback)

    def add(self, device_id: str, generation_id: str, message_id: str, outcome: str) -> None:
        """Store a record. Called before the message itself is taken from the store: a crash in between
        tells twice and never not at all."""
        record = {
            "originalMessageId": message_id,
            "description": outcome,
            "statusCode": outcome,
            "deviceGenerationId": generation_id,
            "deviceId": device_id,
            "enqueuedTimeUtc": iso_time(self._now_s()),
        }

        def stored(sequence: int) -> None:
            self._records[sequence] = record
            for listener in list(self._listeners):
                listener()

        self._writer.submit("INSERT INTO feedback (record) VALUES (?)", (json.dumps(record),), stored)

    def batch(self, after: int = 0) -> Batch | None:
        """Return the oldest records after that sequence number, None if there are none."""
        numbers = [number for number in self._records if number > after][:BATCH_MAX]
        return Batch(numbers[-1], [self._records[number] for number in numbers]) if numbers else None

    def complete(self, first: int, through: int) -> None:
        """The service has dealt with the records from `first` to `through`."""
        for number in [number for number in self._records if first <= number <= through]:
            del self._records[number]
        self._writer.submit("DELETE FROM feedback WHERE sequence BETWEEN ? AND ?", (first, through))

    def forget(self, device_id: str) -> None:
        """The device has been deleted, and its feedback with it."""
        self._records = {number: record for number, record in self._records.items() if record["deviceId"] != device_id}
