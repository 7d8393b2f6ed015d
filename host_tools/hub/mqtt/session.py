"""What an admitted device says, and what it means: packets in, effects on the hub and answers out.

IoT Hub over MQTT 3.1.1 has no way to refuse a publish: whatever it does not accept closes the connection
(Microsoft, "Communicate with an IoT hub using the MQTT protocol"). Here that is a ProtocolError, whose text is for
the log. Another kind of topic is one more line in `_publish` or `_grant` and a module of its own.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from host_tools.hub import property_bag
from host_tools.hub.mqtt import codec
from host_tools.hub.mqtt.delivery import Delivery, Wire

if TYPE_CHECKING:
    from host_tools.hub.hub import Hub

log = logging.getLogger("fieldpost.hub")

MESSAGE_BYTES_MAX: Final = 256 * 1024


class SessionWire(Wire, Protocol):
    """What a session needs of its connection."""

    def hold(self, size: int) -> None:
        """`size` more bytes were taken from the peer and are not durable."""

    def let_go(self, size: int) -> None:
        """They are durable now."""


class Session:
    """One device on one connection, from CONNACK to the end."""

    def __init__(self, hub: Hub, device_id: str, will: codec.Will | None, wire: SessionWire) -> None:
        """ProtocolError or BagMalformed if the will could not be published when it is time."""
        self.device_id = device_id
        self._hub = hub
        self._wire = wire
        self._events_topic = f"devices/{device_id}/messages/events"
        self._will: codec.Publish | None = None
        if will is not None:
            self._will = codec.Publish(will.topic, will.payload, will.qos, will.retain, False, 0)
            self._event(self._will)
        self._delivery = Delivery(device_id, hub.command_queue(device_id), wire, hub.faults, hub.now_ms)

    def handle(self, packet: codec.Packet) -> None:
        """Act on a packet that is neither CONNECT nor DISCONNECT; raises ProtocolError or BagMalformed."""
        match packet:
            case codec.Publish():
                self._publish(packet)
            case codec.PubAck():
                self._delivery.acknowledged(packet.packet_id)
            case codec.Subscribe():
                self._subscribe(packet)
            case codec.Unsubscribe():
                self._unsubscribe(packet)
            case codec.PingRequest():
                self._wire.write(codec.pingresp())
            case _:
                raise codec.ProtocolError("second CONNECT (3.1)")

    def deliver(self) -> None:
        """Commands may be waiting, or the peer reads again."""
        self._delivery.deliver()

    def end(self, is_graceful: bool) -> None:
        """The connection is gone. A device that did not say DISCONNECT leaves its will (3.1.2.5)."""
        self._delivery.end()
        if self._will is not None and not is_graceful:
            system, properties = self._event(self._will)
            properties["iothub-MessageType"] = "Will"
            self._hub.store_event(self.device_id, system, properties, self._will.payload, False)

    def _publish(self, publish: codec.Publish) -> None:
        system, properties = self._event(publish)
        size = len(publish.payload)
        self._wire.hold(size)

        def durable() -> None:
            self._wire.let_go(size)
            if publish.packet_id:
                self._wire.write(codec.puback(publish.packet_id))

        self._hub.store_event(self.device_id, system, properties, publish.payload, publish.duplicate, durable)

    def _event(self, publish: codec.Publish) -> tuple[dict[str, str], dict[str, str | None]]:
        """Return the (system, application) properties of a device-to-cloud message that the hub accepts."""
        if publish.qos == 2:
            raise codec.ProtocolError("QoS 2 is not supported")
        if publish.topic != self._events_topic and not publish.topic.startswith(self._events_topic + "/"):
            raise codec.ProtocolError(f"publish to {publish.topic[:200]!r}, which is not this device's")
        system, properties = property_bag.decode(publish.topic[len(self._events_topic) + 1 :])
        # A character of a topic stands for four bytes at most: the exact size matters near the limit only.
        if len(publish.payload) + 4 * len(publish.topic) > MESSAGE_BYTES_MAX:
            size = len(publish.payload) + property_bag.size(system, properties)
            if size > MESSAGE_BYTES_MAX:
                raise codec.ProtocolError(f"message of {size} bytes, limit {MESSAGE_BYTES_MAX}")
        if publish.retain:
            properties["mqtt-retain"] = "true"
        return system, properties

    def _subscribe(self, subscribe: codec.Subscribe) -> None:
        codes = [self._grant(topic, qos) for topic, qos in subscribe.topics]
        refused = [topic for (topic, _), code in zip(subscribe.topics, codes, strict=True) if code > 1]
        if refused:
            log.warning("%s: %d subscriptions refused, first %r", self.device_id, len(refused), refused[0][:200])
        self._wire.write(codec.suback(subscribe.packet_id, codes))
        self._delivery.deliver()

    def _grant(self, topic: str, qos: int) -> int:
        if topic != self._delivery.topic_filter:
            return codec.SUBSCRIPTION_REFUSED
        granted = min(qos, 1)
        self._delivery.subscribe(granted)
        return granted

    def _unsubscribe(self, unsubscribe: codec.Unsubscribe) -> None:
        for topic in unsubscribe.topics:
            if topic == self._delivery.topic_filter:
                self._delivery.unsubscribe()
        self._wire.write(codec.unsuback(unsubscribe.packet_id))
