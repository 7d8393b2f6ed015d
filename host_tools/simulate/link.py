"""The device's end of a connection, with the interface and the deadlines of fieldpost.links.umqtt.UmqttLink."""

from typing import Any

from fieldpost.limits import (
    BATCH_BYTES_MAX,
    CONNECT_TIMEOUT_MS,
    OUT_BUFFER_BYTES,
    OUT_PUBLISH_BYTES,
    PING_TIMEOUT_MS,
    WRITE_STALL_MS_MAX,
)

from host_tools.simulate.network import Connection, Network, Packet
from host_tools.simulate.supply import Supply
from host_tools.simulate.world import World


class SimulatedLink:
    """One per boot. wake: called when something has come for the device, as a select() would."""

    def __init__(self, world: World, network: Network, supply: Supply, keepalive_s: int, wake: Any) -> None:
        self._world = world
        self._network = network
        self._supply = supply
        self._keepalive_ms = keepalive_s * 1000
        self._wake = wake
        self._connection: Connection | None = None
        self._is_open = False
        self._opened_ms = 0
        self._sent_ms = 0
        self._pinged_ms: int | None = None
        self._out: list[tuple[int, Packet]] = []
        self._out_bytes = 0  # of small packets
        self._is_large_taken = False  # a packet that is too long to wait among them waits in its own place
        self._body = memoryview(bytearray(BATCH_BYTES_MAX))
        self._in: list[Packet] = []
        self.calls = 0

    def open(self, now_ms: int, password: str, handler: Any) -> None:
        """Begin to connect."""
        self.close()
        self._opened_ms = self._sent_ms = now_ms
        self._pinged_ms = None
        self._let_out_go()
        self._in = []
        self._supply.spend("connect")
        self._connection = self._network.connect(self._receive_on)
        self._queue(len(password) + 100, ("connect", password))

    def step(self, now_ms: int, handler: Any) -> None:
        """Send and receive what has come and may go, and see to the deadlines."""
        if self._connection is None:
            return
        if self._out and self._is_tcp_open and not self._network.is_congested:
            for _, packet in self._out:
                self._connection.tell_hub(packet)
            self._let_out_go()
            self._sent_ms = now_ms
        while self._in and self._connection is not None:
            self._handle(self._in.pop(0), handler)
        if self._connection is not None:
            self._check_deadlines(now_ms, handler)

    def body(self) -> memoryview | None:
        """Return where to write the next body, None if it could not leave now."""
        return self._body if self._is_open and not self._is_large_taken else None

    def publish_body(self, topic: bytes, payload: memoryview, packet_id: int, dup: bool) -> bool:
        """Queue a publish of what was written to `body()`."""
        if not self._is_open:
            return False
        body = bytes(payload)
        return self._queue(len(topic) + len(body) + 8, ("publish", topic, body, packet_id, dup))

    def puback(self, packet_id: int) -> bool:
        """Acknowledge a message."""
        return self._is_open and self._queue(4, ("puback", packet_id))

    def subscribe(self, topic: str, qos: int, packet_id: int) -> bool:
        """Ask for a topic filter."""
        return self._queue(len(topic) + 8, ("subscribe", topic, qos, packet_id))

    def close(self) -> None:
        """Let go of the connection; the handler is not called."""
        self._is_open = self._is_tcp_open = False
        if self._connection is not None:
            self._connection.close_device_end()
            self._connection = None

    disconnect = close

    def without_power(self) -> None:
        """The device is gone; nobody is told."""
        if self._connection is not None:
            self._connection.lose_device_end()
            self._connection = None

    _is_tcp_open = False

    @property
    def awaits_something(self) -> bool:
        """Whether there is a connection that does not open, does not work, or has something to send."""
        connection = self._connection
        return connection is not None and (not self._is_open or bool(self._out) or not connection.is_healthy)

    def _receive_on(self, packet: Packet) -> None:
        self._in.append(packet)
        self._wake()

    def _handle(self, packet: Packet, handler: Any) -> None:
        self.calls += 1
        kind = packet[0]
        if kind == "open":
            self._is_tcp_open = True
        elif kind == "closed":
            self._fail(handler, packet[1], False)
        elif kind == "refused":
            self._fail(handler, packet[1], True)
        elif kind == "connack":
            self._is_open = True
            handler.link_connected()
        elif kind == "suback":
            handler.link_suback(packet[1])
        elif kind == "puback":
            handler.link_puback(packet[1])
        elif kind == "pingresp":
            self._pinged_ms = None
        else:
            _, topic, payload, packet_id = packet
            handler.link_message(memoryview(topic), memoryview(payload), packet_id)

    def _let_out_go(self) -> None:
        self._out = []
        self._out_bytes = 0
        self._is_large_taken = False

    def _queue(self, size: int, packet: Packet) -> bool:
        if packet[0] == "publish" and self._out_bytes + size > OUT_PUBLISH_BYTES:
            self._is_large_taken = True
            size = 0
        elif self._out_bytes + size > OUT_BUFFER_BYTES:
            return False
        self._supply.spend(packet[0])
        self.calls += 1
        self._out.append((size, packet))
        self._out_bytes += size
        return True

    def _check_deadlines(self, now_ms: int, handler: Any) -> None:
        if not self._is_open:
            if now_ms - self._opened_ms > CONNECT_TIMEOUT_MS:
                self._fail(handler, "no answer", False)
        elif self._out and now_ms - self._sent_ms > WRITE_STALL_MS_MAX:
            self._fail(handler, "nothing could be sent", False)
        elif self._pinged_ms is not None:
            if now_ms - self._pinged_ms > PING_TIMEOUT_MS:
                self._fail(handler, "no PINGRESP", False)
        elif now_ms - self._sent_ms > self._keepalive_ms // 2:
            if self._connection is not None and self._connection.is_healthy:
                self._sent_ms = now_ms  # the answer is certain: years of pings are not worth simulating
            elif self._queue(2, ("pingreq",)):
                self._pinged_ms = now_ms

    def _fail(self, handler: Any, reason: str, is_refusal: bool) -> None:
        self.close()
        self._world.trace(f"link closed: {reason}")
        handler.link_closed(reason, is_refusal)
