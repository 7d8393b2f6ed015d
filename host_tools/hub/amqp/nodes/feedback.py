"""What became of commands, for back ends that receive from /messages/serviceBound/feedback.

Microsoft, "Send cloud-to-device messages from an IoT hub", message feedback: each message holds a batch of records
and is to be completed; what is not settled comes again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from host_tools.hub.amqp.link import Outgoing
from host_tools.hub.amqp.message import Message
from host_tools.hub.amqp.types import Timestamp
from host_tools.hub.devices import feedback

if TYPE_CHECKING:
    from host_tools.hub.hub import Hub


class FeedbackBatches:
    """The batches, as one link gets them."""

    def __init__(self, hub: Hub, ready: Callable[[], None]) -> None:
        self._hub = hub
        self._ready = ready
        self._sent_through = 0
        hub.feedback.on_added(ready)

    def next(self) -> Outgoing | None:
        """Return the records that this link has not been given, up to the size of a batch."""
        batch = self._hub.feedback.batch(self._sent_through)
        if batch is None:
            return None
        after, self._sent_through = self._sent_through, batch.through

        def settled(is_done: bool) -> None:
            if is_done:
                self._hub.feedback.complete(after + 1, batch.through)
            else:
                self._sent_through = min(self._sent_through, after)
                self._ready()

        now_ms = Timestamp(self._hub.now_ms())
        message = Message(
            batch.body,
            properties={
                "message-id": uuid.uuid4().hex,
                "user-id": self._hub.hostname.encode(),
                "to": "/messages/serviceBound/feedback",
                "content-type": feedback.CONTENT_TYPE,
                "content-encoding": "utf-8",
                "creation-time": now_ms,
            },
            annotations={"iothub-enqueuedtime": now_ms},
        )
        return Outgoing(message.as_bytes(), settled)

    def close(self) -> None:
        """What was sent and not settled stays for the next one."""
        self._hub.feedback.remove_listener(self._ready)
