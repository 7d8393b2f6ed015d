"""One device's connection: what it may say, and what is said to it.

IoT Hub over MQTT 3.1.1 has no way to refuse a publish: whatever it does not accept closes the connection
(Microsoft, "Communicate with an IoT hub using the MQTT protocol").
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, cast

from host_tools.hub import property_bag
from host_tools.hub.devices import identity
from host_tools.hub.devices.command_queue import QueuedMessage
from host_tools.hub.mqtt import codec

if TYPE_CHECKING:
    from host_tools.hub.hub import Hub

log = logging.getLogger("fieldpost.hub")

CONNECT_TIMEOUT_S: Final = 30.0
# Publishes taken and not yet durable; beyond it the socket is not read until the disk has caught up.
UNCOMMITTED_MAX: Final = 1000
IN_FLIGHT_MAX: Final = 16
MESSAGE_BYTES_MAX: Final = 256 * 1024
SUBSCRIPTIONS_MAX: Final = 5


class Connection(asyncio.Protocol):
    """The server side of one TCP connection."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._decoder = codec.Decoder()
        self._transport: asyncio.Transport | None = None
        self._peer = "?"
        self._timer: asyncio.TimerHandle | None = None
        self._token_timer: asyncio.TimerHandle | None = None
        self._keep_alive_s = 0.0
        self._last_heard = 0.0
        self._will: codec.Will | None = None
        self._uncommitted = 0
        self._is_paused = False
        self._is_writable = True
        self._next_packet_id = 0
        self._in_flight: dict[int, QueuedMessage] = {}
        self._command_qos = -1
        self._subscriptions: set[str] = set()
        self.device_id: str | None = None

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of asyncio's
        self._peer = str(transport.get_extra_info("peername"))
        self._hub.connections.add(self)
        self._timer = self._loop.call_later(CONNECT_TIMEOUT_S, self._close, "no CONNECT in time")

    def data_received(self, data: bytes) -> None:
        self._last_heard = self._loop.time()
        try:
            for packet in self._decoder.feed(data):
                if self._transport is None:
                    return
                self._handle(packet)
        except (codec.ProtocolError, property_bag.BagMalformed) as error:
            self._close(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        self._close("connection lost")

    def pause_writing(self) -> None:
        self._is_writable = False

    def resume_writing(self) -> None:
        self._is_writable = True
        self.deliver()

    # --- what the hub asks ---

    def deliver(self) -> None:
        """Send the commands that wait, in order, as far as the window goes."""
        if self._command_qos < 0 or self._transport is None or self.device_id is None:
            return
        queue = self._hub.command_queue(self.device_id)
        queue.drop_expired(self._hub.clock() * 1000)
        sent = {message.sequence for message in self._in_flight.values()}
        for message in list(queue.messages):
            if len(self._in_flight) >= IN_FLIGHT_MAX or not self._is_writable:
                return
            if message.sequence not in sent:
                self._send_command(message)

    def close(self, reason: str) -> None:
        """End the connection from this side."""
        self._close(reason)

    # --- packets ---

    def _handle(self, packet: codec.Packet) -> None:
        if self.device_id is None:
            if not isinstance(packet, codec.Connect):
                raise codec.ProtocolError("the first packet is not CONNECT (3.1)")
            self._connect(packet)
        elif isinstance(packet, codec.Publish):
            self._publish(packet)
        elif isinstance(packet, codec.PubAck):
            self._puback(packet.packet_id)
        elif isinstance(packet, codec.Subscribe):
            self._subscribe(packet)
        elif isinstance(packet, codec.Unsubscribe):
            self._unsubscribe(packet)
        elif isinstance(packet, codec.PingRequest):
            self._write(codec.pingresp())
        elif isinstance(packet, codec.Disconnect):
            self._will = None
            self._close("disconnected")
        else:
            raise codec.ProtocolError("second CONNECT (3.1)")

    def _connect(self, connect: codec.Connect) -> None:
        try:
            admission = identity.admit(connect, self._hub.devices, self._hub.clock())
        except identity.Refused as refused:
            self._write(codec.connack(False, refused.code))
            self._close(f"CONNECT refused with {refused.code}: {refused}")
            return
        self.device_id = admission.device.id
        if connect.will is not None:
            self._check_event_topic(connect.will.topic)
            self._will = connect.will
        self._hub.attach(self, self.device_id)
        self._write(codec.connack(False, identity.ACCEPTED))
        self._keep_alive_s = connect.keep_alive_s * 1.5
        assert self._timer is not None
        self._timer.cancel()
        self._timer = None
        if self._keep_alive_s:
            self._timer = self._loop.call_later(self._keep_alive_s, self._check_keep_alive)
        left_s = max(0.0, admission.expires_s - self._hub.clock())
        self._token_timer = self._loop.call_later(
            min(left_s, 7 * 86400), self._check_token, admission.expires_s
        )
        log.info("%s connected from %s", self.device_id, self._peer)

    def _check_token(self, expires_s: float) -> None:
        left_s = expires_s - self._hub.clock()
        if left_s <= 0:
            self._close("token expired")
        else:
            self._token_timer = self._loop.call_later(min(left_s, 7 * 86400), self._check_token, expires_s)

    def _publish(self, publish: codec.Publish) -> None:
        if publish.qos == 2:
            raise codec.ProtocolError("QoS 2 is not supported")
        bag = self._check_event_topic(publish.topic)
        if len(publish.payload) + len(bag) > MESSAGE_BYTES_MAX:
            raise codec.ProtocolError(f"message above {MESSAGE_BYTES_MAX} bytes")
        system, properties = property_bag.decode(bag)
        if publish.retain:
            properties["mqtt-retain"] = "true"
        assert self.device_id is not None
        self._uncommitted += 1
        if self._uncommitted >= UNCOMMITTED_MAX and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        packet_id = publish.packet_id
        self._hub.store_event(
            self.device_id,
            system,
            properties,
            publish.payload,
            publish.duplicate,
            lambda: self._committed(packet_id),
        )

    def _committed(self, packet_id: int) -> None:
        self._uncommitted -= 1
        if packet_id:
            self._write(codec.puback(packet_id))
        if self._is_paused and self._uncommitted <= UNCOMMITTED_MAX // 2 and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()

    def _check_event_topic(self, topic: str) -> str:
        """Return the property bag of an event topic of this device; ProtocolError for any other topic."""
        prefix = f"devices/{self.device_id}/messages/events"
        if topic != prefix and not topic.startswith(prefix + "/"):
            raise codec.ProtocolError(f"publish to {topic[:200]!r}, which is not this device's")
        return topic[len(prefix) + 1 :]

    def _subscribe(self, subscribe: codec.Subscribe) -> None:
        codes = [self._grant(topic, qos) for topic, qos in subscribe.topics]
        self._write(codec.suback(subscribe.packet_id, codes))
        self.deliver()

    def _grant(self, topic: str, qos: int) -> int:
        granted = min(qos, 1)
        is_room = topic in self._subscriptions or len(self._subscriptions) < SUBSCRIPTIONS_MAX
        if topic == self._command_filter() and is_room:
            self._subscriptions.add(topic)
            self._command_qos = granted
            return granted
        log.warning("%s: subscription to %r refused", self.device_id, topic[:200])
        return codec.SUBSCRIPTION_REFUSED

    def _unsubscribe(self, unsubscribe: codec.Unsubscribe) -> None:
        for topic in unsubscribe.topics:
            self._subscriptions.discard(topic)
            if topic == self._command_filter():
                self._command_qos = -1
        self._write(codec.unsuback(unsubscribe.packet_id))

    def _command_filter(self) -> str:
        return f"devices/{self.device_id}/messages/devicebound/#"

    def _send_command(self, message: QueuedMessage) -> None:
        assert self.device_id is not None
        queue = self._hub.command_queue(self.device_id)
        topic = f"devices/{self.device_id}/messages/devicebound/" + property_bag.encode(
            message.system, message.properties
        )
        packet_id = 0
        if self._command_qos:
            packet_id = self._new_packet_id()
            self._in_flight[packet_id] = message
        self._write(
            codec.publish(topic, message.body, self._command_qos, message.delivery_count > 0, packet_id)
        )
        queue.delivered(message)
        if not self._command_qos:
            queue.complete(message)

    def _puback(self, packet_id: int) -> None:
        message = self._in_flight.get(packet_id)
        if message is None or self.device_id is None:
            return
        if self._hub.faults.loses_puback():
            self._hub.redelivered += 1
            self._loop.call_later(self._hub.faults.redeliver_s, self._redeliver, packet_id)
            return
        del self._in_flight[packet_id]
        self._hub.command_queue(self.device_id).complete(message)
        self.deliver()

    def _redeliver(self, packet_id: int) -> None:
        message = self._in_flight.pop(packet_id, None)
        if message is not None and self._transport is not None:
            self._send_command(message)

    def _new_packet_id(self) -> int:
        while True:
            self._next_packet_id = self._next_packet_id % 65_535 + 1
            if self._next_packet_id not in self._in_flight:
                return self._next_packet_id

    # --- time and end ---

    def _check_keep_alive(self) -> None:
        silent_s = self._loop.time() - self._last_heard
        if silent_s >= self._keep_alive_s and not self._is_paused:
            self._close(f"silent for {silent_s:.0f} s, more than 1.5 times its keep-alive")
        else:
            wait_s = max(0.05, self._keep_alive_s - silent_s)
            self._timer = self._loop.call_later(wait_s, self._check_keep_alive)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _close(self, reason: str) -> None:
        if self._transport is None:
            return
        transport, self._transport = self._transport, None
        for timer in (self._timer, self._token_timer):
            if timer is not None:
                timer.cancel()
        log.info("%s from %s closed: %s", self.device_id or "connection", self._peer, reason)
        if self._will is not None and self.device_id is not None:
            system, properties = property_bag.decode(self._check_event_topic(self._will.topic))
            properties["iothub-MessageType"] = "Will"
            self._hub.store_event(self.device_id, system, properties, self._will.payload, False, lambda: None)
        self._in_flight.clear()
        self._hub.detach(self)
        transport.close()
