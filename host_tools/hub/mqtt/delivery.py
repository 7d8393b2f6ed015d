"""Commands on their way to one connected device: in order, a bounded number at a time, until PUBACK.

Moves no bytes and reads no clock itself. MQTT 3.1.1 section 4.6 asks for order and section 4.4 for the same
packet id in a repeat; that PUBACK completes a message is IoT Hub's (Microsoft, "Communicate with an IoT hub using
the MQTT protocol").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from host_tools.hub import property_bag
from host_tools.hub.devices.command_queue import CommandQueue, QueuedMessage
from host_tools.hub.faults import Faults
from host_tools.hub.mqtt import codec

IN_FLIGHT_MAX: Final = 16


class Wire(Protocol):
    """What a delivery needs of its connection."""

    @property
    def is_writable(self) -> bool:
        """Whether the peer reads as fast as we write."""

    def write(self, data: bytes) -> None:
        """Send; nothing happens on a connection that has ended."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back unless the connection has ended by then."""


class Delivery:
    """The window over a device's queue. Silent until `subscribe`.

    now_ms: returns Unix milliseconds.
    """

    def __init__(
        self, device_id: str, queue: CommandQueue, wire: Wire, faults: Faults, now_ms: Callable[[], float]
    ) -> None:
        self._topic = f"devices/{device_id}/messages/devicebound/"
        self._queue = queue
        self._wire = wire
        self._faults = faults
        self._now_ms = now_ms
        self._qos: int | None = None
        self._packet_id = 0
        self._in_flight: dict[int, QueuedMessage] = {}

    @property
    def topic_filter(self) -> str:
        """The one filter that IoT Hub takes for commands."""
        return self._topic + "#"

    def subscribe(self, qos: int) -> None:
        """From now on commands go out with this QoS, 0 or 1; `deliver` starts them."""
        self._qos = qos

    def unsubscribe(self) -> None:
        """No new command goes out; those in flight may still be acknowledged."""
        self._qos = None

    def deliver(self) -> None:
        """Send what waits, in order, as far as the window and the peer allow."""
        if self._qos is None:
            return
        self._queue.expire(self._now_ms())
        for message in self._queue.deliverable():
            if len(self._in_flight) >= IN_FLIGHT_MAX or not self._wire.is_writable:
                return
            if self._qos:
                # In a resumed session a message keeps the id that the device may have seen (4.4).
                packet_id = message.packet_id or self._new_packet_id()
                self._in_flight[packet_id] = message
                self._queue.lock(message, packet_id, self._now_ms())
                self._send(message, packet_id)
            else:
                self._send(message, 0)
                self._queue.complete(message)

    def acknowledged(self, packet_id: int) -> None:
        """The device has dealt with it. An id that is not in flight is ignored: PUBACK may come twice."""
        message = self._in_flight.get(packet_id)
        if message is None:
            return
        if self._faults.loses_puback():
            self._wire.call_later(self._faults.redeliver_s, lambda: self._redeliver(message, packet_id))
            return
        del self._in_flight[packet_id]
        self._queue.complete(message)
        self.deliver()

    def end(self) -> None:
        """The connection is gone: what it did not complete may go out on the next one."""
        self._qos = None
        for message in self._in_flight.values():
            self._queue.release(message)
        self._in_flight.clear()

    def _redeliver(self, message: QueuedMessage, packet_id: int) -> None:
        # The id may belong to a younger message by now, if the device acknowledged twice.
        if self._in_flight.get(packet_id) is message:
            self._send(message, packet_id)

    def _send(self, message: QueuedMessage, packet_id: int) -> None:
        topic = self._topic + property_bag.encode(message.system, message.properties)
        qos = 1 if packet_id else 0
        is_repeat = bool(packet_id) and message.delivery_count > 0  # DUP is for QoS 1 only (3.3.1.1)
        self._wire.write(codec.publish(topic, message.body, qos, is_repeat, packet_id))
        self._queue.delivered(message)

    def _new_packet_id(self) -> int:
        taken = self._queue.packet_ids | self._in_flight.keys()
        while True:
            self._packet_id = self._packet_id % 65_535 + 1
            if self._packet_id not in taken:
                return self._packet_id
