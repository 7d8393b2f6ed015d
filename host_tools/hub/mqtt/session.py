"""What an admitted device says, and what it means: packets in, effects on the hub and answers out.

IoT Hub over MQTT 3.1.1 has no way to refuse a publish: whatever it does not accept closes the connection
(Microsoft, "Communicate with an IoT hub using the MQTT protocol"). Here that is a ProtocolError, whose text is for
the log. Another kind of topic is one more line in `_publish` or `_grant` and a module of its own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from host_tools.hub import property_bag, strict_json
from host_tools.hub.devices import methods
from host_tools.hub.devices.merge_patch import DocumentRefused, Json
from host_tools.hub.mqtt import codec, topics
from host_tools.hub.mqtt.delivery import Delivery, Wire
from host_tools.hub.mqtt.telemetry_scan import Repeated
from host_tools.hub.store import event_packet
from host_tools.hub.throttle import Kind

if TYPE_CHECKING:
    from host_tools.hub.hub import Hub

log = logging.getLogger("fieldpost.hub")

MESSAGE_BYTES_MAX: Final = 256 * 1024
# Stored together at most, so that a reader has a row of them at once.
TELEMETRY_AT_ONCE_MAX: Final = 256
# Until it is on disk a change of a few bytes has the whole twin, metadata and all, wait in memory.
_TWIN_CHANGE_BYTES: Final = 64 * 1024
_SUBSCRIPTIONS_BYTES: Final = 1024


class SessionWire(Wire, Protocol):
    """What a session needs of its connection."""

    def hold(self, size: int, count: int = 1) -> None:
        """`count` more messages of `size` bytes in all were taken from the peer and are not durable."""

    def let_go(self, size: int, count: int = 1) -> None:
        """They are durable now."""


class Session:
    """One device on one connection, from CONNACK to the end.

    is_resumed: whether the hub has remembered the device's session, which CONNACK tells it.
    """

    def __init__(self, hub: Hub, device_id: str, connect: codec.Connect, wire: SessionWire) -> None:
        """ProtocolError or BagMalformed if the will could not be published when it is time."""
        self.device_id = device_id
        self.is_resumed = False
        self._hub = hub
        self._wire = wire
        self._is_clean = connect.clean_session
        self._events_topic = f"devices/{device_id}/messages/events"
        self._events_prefix = event_packet.topic(device_id).encode()
        self._repeated: Repeated | None = None
        self._will: codec.Publish | None = None
        if connect.will is not None:
            will = connect.will
            self._will = codec.Publish(will.topic, will.payload, will.qos, will.retain, False, 0)
            self._event(self._will)
        queue = hub.command_queue(device_id)
        self._delivery = Delivery(device_id, queue, wire, hub.faults, hub.now_ms)
        self._filters = (
            self._delivery.topic_filter,
            topics.METHODS_FILTER,
            topics.TWIN_RESPONSES_FILTER,
            topics.DESIRED_FILTER,
        )
        self._subscriptions: dict[str, int] = {}
        if self._is_clean:
            queue.forget_packet_ids()
            hub.sessions.end(device_id)
        else:
            self._subscriptions, self.is_resumed = hub.sessions.resume(device_id)

    def begin(self) -> None:
        """CONNACK is on its way: what a resumed session has subscribed to comes at once."""
        if self._delivery.topic_filter in self._subscriptions:
            self._delivery.subscribe(self._subscriptions[self._delivery.topic_filter])
            self._delivery.deliver()
        if self.takes_methods:
            self._hub.methods.arrived(self.device_id)

    @property
    def takes_methods(self) -> bool:
        """Whether the device has subscribed to direct methods."""
        return topics.METHODS_FILTER in self._subscriptions

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

    def request_method(self, name: str, request_id: str, payload: bytes) -> None:
        """Hand a direct method call to the device."""
        self._send(topics.method_request(name, request_id), payload)

    def notify_desired(self, patch: Json) -> None:
        """Tell the device of a change of its desired properties, if it wants to know."""
        if topics.DESIRED_FILTER in self._subscriptions:
            self._send(topics.desired_notification(patch["$version"]), json.dumps(patch).encode())

    def end(self, is_graceful: bool) -> None:
        """The connection is gone. A device that did not say DISCONNECT leaves its will (3.1.2.5)."""
        self._delivery.end()
        self._hub.methods.gone(self.device_id)
        if self._will is not None and not is_graceful:
            system, properties = self._event(self._will)
            properties["iothub-MessageType"] = "Will"
            self._hub.store_event(self.device_id, system, properties, self._will.payload)

    # --- what the device publishes ---

    def _publish(self, publish: codec.Publish) -> None:
        if publish.qos == 2:
            raise codec.ProtocolError("QoS 2 is not supported")
        if publish.topic.startswith("$iothub/"):
            self._request(publish)
            return
        self._event(publish)
        self._hub.throttle.take(Kind.DEVICE_MESSAGES, len(publish.payload))
        topic = publish.topic if publish.topic != self._events_topic else publish.topic + "/"
        packet = codec.publish(topic, publish.payload, 0, publish.duplicate, 0, publish.retain)
        self._store(packet, 1, codec.puback(publish.packet_id) if publish.packet_id else b"")

    def take_telemetry(self, decoder: codec.Decoder) -> bool:
        """Store what comes next if it is plain telemetry; False if it is not, or every message is to be counted."""
        if self._hub.throttle.is_on:
            return False
        found = decoder.take_telemetry(self._events_prefix, TELEMETRY_AT_ONCE_MAX)
        if found is None:
            return False
        if self._repeated is None or self._repeated.head != found.head:
            self._repeated = Repeated(found.head, found.size)
        self._store(found.packets, found.count, found.acknowledgements)
        return True

    def take_repeated(self, data: bytes | memoryview) -> bool:
        """Store what the network has brought if it is whole packets like the last ones; False if it is not."""
        found = self._repeated.take(data) if self._repeated is not None else None
        if found is None:
            return False
        self._store(bytes(data), *found)
        return True

    def _store(self, packets: bytes, count: int, acknowledgements: bytes) -> None:
        size = len(packets)
        self._wire.hold(size, count)
        self._hub.store_packets(self.device_id, packets, count, partial(self._stored, size, count, acknowledgements))

    def _stored(self, size: int, count: int, acknowledgements: bytes) -> None:
        self._wire.let_go(size, count)
        if acknowledgements:
            self._wire.write(acknowledgements)

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
            properties[event_packet.RETAIN_PROPERTY] = "true"
        return system, properties

    def _request(self, publish: codec.Publish) -> None:
        """Act on a publish below `$iothub/`. It is acknowledged in its turn (4.6), behind what is being stored."""
        request = topics.request(publish.topic)
        match request:
            case topics.TwinGet():
                self._twin_get(request.request_id)
            case topics.TwinPatch():
                self._twin_patch(request.request_id, publish.payload)
            case topics.MethodResponse():
                self._method_response(request, publish.payload)
            case _:
                raise codec.ProtocolError(f"publish to {publish.topic[:200]!r}, which IoT Hub does not have")
        if publish.packet_id:
            self._wire.hold(len(publish.payload))
            self._hub.after_what_was_stored(lambda: self._acknowledge(publish))

    def _acknowledge(self, publish: codec.Publish) -> None:
        self._wire.let_go(len(publish.payload))
        self._wire.write(codec.puback(publish.packet_id))

    def _twin_get(self, request_id: str) -> None:
        if not self._hub.throttle.allows(Kind.TWIN_READS):
            self._twin_response(429, request_id)
            return
        body = json.dumps(self._hub.twins.get(self.device_id).for_device()).encode()
        self._twin_response(200, request_id, body)

    def _twin_patch(self, request_id: str, payload: bytes) -> None:
        if not self._hub.throttle.allows(Kind.TWIN_UPDATES):
            self._twin_response(429, request_id)
            return

        def answer(status: int, version: int | None = None) -> None:
            self._wire.let_go(_TWIN_CHANGE_BYTES)
            self._twin_response(status, request_id, version=version)

        try:
            self._hub.twins.report(
                self.device_id, strict_json.loads(payload), lambda version: answer(204, version), lambda: answer(500)
            )
            self._wire.hold(_TWIN_CHANGE_BYTES)
        except (DocumentRefused, ValueError) as error:
            log.warning("%s: reported properties refused: %s", self.device_id, error)
            self._twin_response(400, request_id, json.dumps({"errorCode": 400004, "message": str(error)}).encode())

    def _twin_response(self, status: int, request_id: str, body: bytes = b"", version: int | None = None) -> None:
        if topics.TWIN_RESPONSES_FILTER in self._subscriptions:  # otherwise it is lost, as at the real hub
            self._send(topics.twin_response(status, request_id, version), body)

    def _method_response(self, response: topics.MethodResponse, payload: bytes) -> None:
        if len(payload) > methods.PAYLOAD_BYTES_MAX:
            raise codec.ProtocolError(f"method response of {len(payload)} bytes, limit {methods.PAYLOAD_BYTES_MAX}")
        if payload.strip():
            try:
                strict_json.loads(payload)
            except ValueError as error:
                raise codec.ProtocolError(f"method response that is no JSON: {error}") from error
        if not self._hub.methods.answered(self.device_id, response.request_id, response.status, payload):
            log.warning("%s: answer to a method call that nobody waits for (any more)", self.device_id)

    def _send(self, topic: str, body: bytes) -> None:
        """To the device, with QoS 0: nothing but commands is repeated."""
        self._wire.write(codec.publish(topic, body, 0, False, 0))

    # --- what the device subscribes to ---

    def _subscribe(self, subscribe: codec.Subscribe) -> None:
        codes = [self._grant(topic, qos) for topic, qos in subscribe.topics]
        refused = [topic for (topic, _), code in zip(subscribe.topics, codes, strict=True) if code > 1]
        if refused:
            log.warning("%s: %d subscriptions refused, first %r", self.device_id, len(refused), refused[0][:200])

        def remembered() -> None:
            self._wire.write(codec.suback(subscribe.packet_id, codes))
            if self.takes_methods:
                self._hub.methods.arrived(self.device_id)
            self._delivery.deliver()

        self._remember(remembered)

    def _grant(self, topic: str, qos: int) -> int:
        if topic not in self._filters:
            return codec.SUBSCRIPTION_REFUSED
        granted = min(qos, 1)
        self._subscriptions[topic] = granted
        if topic == self._delivery.topic_filter:
            self._delivery.subscribe(granted)
        return granted

    def _unsubscribe(self, unsubscribe: codec.Unsubscribe) -> None:
        for topic in unsubscribe.topics:
            self._subscriptions.pop(topic, None)
            if topic == self._delivery.topic_filter:
                self._delivery.unsubscribe()
        answer = codec.unsuback(unsubscribe.packet_id)
        self._remember(lambda: self._wire.write(answer))

    def _remember(self, done: Callable[[], None]) -> None:
        """Keep the subscriptions if the device wants its session kept, then call back."""
        if self._is_clean:
            done()
            return

        def durable() -> None:
            self._wire.let_go(_SUBSCRIPTIONS_BYTES)
            done()

        self._wire.hold(_SUBSCRIPTIONS_BYTES)
        self._hub.sessions.keep(self.device_id, self._subscriptions, durable)
