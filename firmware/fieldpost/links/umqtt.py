"""umqtt.simple's client with its input and output replaced: nothing here waits, and nothing is forgotten.

    closed --open--> reaching (TCP) --> greeting (TLS, CONNECT) --CONNACK--> open
    any --error, silence or refusal--> closed, and the handler is told why

Kept of umqtt.simple (1.3.4 to 1.8): the client's identity, server, port and keep-alive as its constructor takes
them. Replaced, because a board must not hang: connect, publish, subscribe, ping and the reading of packets. Each
packet goes to TLS in one piece, partial writes are finished, every state has a deadline, and a PINGRESP that
does not come ends the connection (MQTT 3.1.1 section 3.1.2.10).

    _out      small packets, in a row          [sent | waiting | ...       | acknowledgements and pings alone]
    _large    one packet that is too long      [head | body, written by the sender in its place]

Nothing is read while the last part of `_out` is in use: an acknowledgement always finds room. The large packet leaves
from where it was made; whoever wants to make the next one waits until it is gone.
"""

import errno

from fieldpost.compat import alias_u_modules, const
from fieldpost.limits import (
    BATCH_BYTES_MAX,
    COMMAND_BYTES_MAX,
    CONNACK_TIMEOUT_MS,
    CONNECT_TIMEOUT_MS,
    OUT_BUFFER_BYTES,
    OUT_PUBLISH_BYTES,
    PING_TIMEOUT_MS,
    PUBLISH_HEAD_BYTES_MAX,
    READ_CHUNK_BYTES,
    READS_PER_STEP_MAX,
    WRITE_STALL_MS_MAX,
)
from fieldpost.links import packets
from fieldpost.links.inbound import Inbound, ProtocolError, packet_id_of, publish_parts
from fieldpost.links.wire import NoWay, Wire, explain

alias_u_modules()
from umqtt.simple import MQTTClient  # noqa: E402 - on CPython it needs the aliases

_CLOSED = const(0)
_REACHING = const(1)
_GREETING = const(2)
_OPEN = const(3)


class UmqttLink(MQTTClient):
    """A connection to one hub. All times are ms of one clock.

    dialect: who connects, and how (see packets.connect). context: a TLS context (links.tls), or None for plain TCP.
    path: of a WebSocket (RFC 6455), or None for plain MQTT. body_bytes: of the longest body of a message.
    handler: link_connected(), link_suback(code), link_puback(packet_id), link_message(topic, payload, packet_id),
    link_refused(packet_id, size, topic), link_closed(reason, is_refusal), link_has_room() -> whether to go on reading.
    """

    def __init__(
        self,
        dialect,
        host,
        port,
        keepalive_s,
        context,
        inbound_bytes=COMMAND_BYTES_MAX,
        path=None,
        body_bytes=BATCH_BYTES_MAX,
    ):
        super().__init__(dialect.client_id, host, port, keepalive=keepalive_s)
        for name in list(self.__dict__):
            if name != "keepalive":
                delattr(self, name)  # what only the replaced parts would use; its place is used again
        self._dialect = dialect
        self._wire = Wire(host, port, context, path)
        self._large = memoryview(bytearray(PUBLISH_HEAD_BYTES_MAX + body_bytes))
        self._body = self._large[PUBLISH_HEAD_BYTES_MAX:]
        self._out = memoryview(bytearray(OUT_BUFFER_BYTES))
        self._out_for_publish = self._out[:OUT_PUBLISH_BYTES]
        self._chunk = memoryview(bytearray(READ_CHUNK_BYTES))
        self._inbound = Inbound(inbound_bytes)
        self._handler = None
        self._state = _CLOSED
        self._reset(0)

    def point(self, host, port):
        """Let go of the connection; lead to another hub from the next `open` on."""
        self.close()
        self._wire.point(host, port)

    def trust(self, context):
        """Judge certificates by another context from the next `open` on."""
        self._wire.context = context

    def open(self, now_ms, password, handler):
        """Begin to connect; `step` goes on with it."""
        self.close()
        self._reset(now_ms)
        self._handler = handler
        self._state = _REACHING
        try:
            self._large_end = packets.connect(self._large, 0, self._dialect, password, self.keepalive)
            self._wire.open()
        except packets.NoRoom:
            self._fail("name and password need a larger batch.bytes_max", True)
        except NoWay as error:
            self._fail(str(error))

    def step(self, now_ms, handler):
        """Send and receive what goes without waiting, and see to the deadlines."""
        self._handler = handler
        self._now_ms = now_ms
        try:
            if self._error is not None:
                raise self._error
            if self._state == _REACHING and self._wire.step():
                self._state = _GREETING
            if self._state >= _GREETING:
                self._write()
                self._read()
            if self._state != _CLOSED:
                self._check_deadlines()
        except ValueError as error:
            # A certificate that cannot be verified; on CPython that error is an OSError as well.
            if self._state != _GREETING:
                raise
            self._fail(*explain(error))
        except MemoryError:
            self._fail("not enough memory")
        except NoWay as error:
            self._fail(str(error))
        except (OSError, ProtocolError) as error:
            self._fail(*explain(error))

    def publish(self, topic, payload, packet_id, dup, retain=False):
        """Queue a publish whole; False if there is no room for it now. topic: bytes. packet_id 0: QoS 0, else 1."""
        if self._state != _OPEN:
            return False
        if self._queue(self._out_for_publish, packets.publish, topic, payload, packet_id, dup, retain):
            return True
        if len(topic) + len(payload) + 8 <= OUT_PUBLISH_BYTES or self._is_large_taken:
            return False
        try:
            end = packets.publish(self._large, 0, topic, payload, packet_id, dup, retain)
        except packets.NoRoom:
            return False
        self._queue_large(0, end)
        return True

    def body(self):
        """Return where to write the next body (memoryview), None if it could not leave now.

        Small messages follow each other as long as the socket takes them; a large one is a step's work.
        """
        if self._state != _OPEN or self._large_end - self._large_start > OUT_PUBLISH_BYTES:
            return None
        if self._is_large_taken:
            try:
                self._write()
            except (OSError, ProtocolError, MemoryError) as error:
                self._error = error
            if self._error is not None or self._is_large_taken:
                return None
        return self._body

    def publish_body(self, topic, payload, packet_id, dup):
        """Queue a publish of `payload`, which stands at the beginning of `body()`; return whether it is queued.

        It always is while the topic keeps to EVENT_TOPIC_BYTES_MAX. What stands there is the link's from now on.
        """
        if self._queue(self._out_for_publish, packets.publish, topic, payload, packet_id, dup):
            return True  # the next one need not wait for it
        size = len(payload)
        try:
            start = packets.publish_around(self._large, PUBLISH_HEAD_BYTES_MAX, topic, size, packet_id, dup)
        except packets.NoRoom:
            return False
        self._queue_large(start, PUBLISH_HEAD_BYTES_MAX + size)
        return True

    def puback(self, packet_id):
        """Acknowledge a message; on a connection that has ended the hub will deliver it again."""
        if self._state == _OPEN:
            self._queue(self._out, packets.puback, packet_id)

    def subscribe(self, topic, qos, packet_id):
        """Ask for a topic filter (str); the answer comes to link_suback."""
        self._queue(self._out, packets.subscribe, topic, qos, packet_id)

    def close(self):
        """Let go of the connection at once; the handler is not called."""
        self._state = _CLOSED
        self._has_more = self._is_held_up = False  # or nobody would sleep until the next connection
        self._inbound.stop()
        self._wire.close()

    def disconnect(self):
        """Say DISCONNECT, so that no will is published, if that goes at once; let go."""
        if self._state == _OPEN and not self._is_waiting:
            end = packets.empty(self._out, 0, packets.DISCONNECT)
            try:
                self._wire.write(self._out[:end])
            except (OSError, ValueError):
                pass  # dead already
        self.close()

    def wait(self, timeout_ms):
        """Sleep until something can be received or sent, or `timeout_ms` have passed."""
        if timeout_ms <= 0 or self._has_more:
            return
        is_reading = self._out_end <= OUT_PUBLISH_BYTES and not self._is_held_up
        is_writing = self._state != _GREETING and self._is_waiting
        self._wire.wait(timeout_ms, is_reading or self._state == _GREETING, is_writing)

    def _reset(self, now_ms):
        self._inbound.reset()
        self._out_start = 0  # sent up to here
        self._piece_end = 0  # TLS must be given the same bytes again until here
        self._out_end = 0
        self._error = None  # met while nobody could be told
        self._large_start = self._large_end = 0
        self._large_at = 0  # the large packet's turn is when `_out` is sent up to here
        self._has_more = False
        self._is_held_up = False  # by a handler without room
        self._now_ms = now_ms
        self._opened_ms = now_ms
        self._sent_ms = now_ms  # when bytes last left
        self._stalled_ms = now_ms  # since when bytes have been waiting and none left
        self._pinged_ms = None

    @property
    def _is_large_taken(self):
        return self._large_start < self._large_end

    @property
    def _is_waiting(self):
        """Whether there is something to send."""
        return self._out_start < self._out_end or self._is_large_taken

    def _write(self):
        while self._is_waiting:
            is_large = self._is_large_taken and self._out_start == self._large_at
            if is_large:
                piece = self._large[self._large_start : self._large_end]
            else:
                if self._piece_end == self._out_start:
                    self._piece_end = self._large_at if self._is_large_taken else self._out_end
                piece = self._out[self._out_start : self._piece_end]
            count = self._wire.write(piece)
            if not count:
                return
            self._sent_ms = self._stalled_ms = self._now_ms
            if is_large:
                self._large_start += count
                continue
            self._out_start += count
            if self._out_start == self._out_end:
                self._out_start = self._piece_end = self._out_end = self._large_at = 0

    def _read(self):
        self._has_more = self._is_held_up = False
        for _ in range(READS_PER_STEP_MAX):
            if self._out_end > OUT_PUBLISH_BYTES:
                return
            if not self._handler.link_has_room():
                self._is_held_up = True
                return
            count = self._wire.read_into(self._chunk)
            if count is None:
                return
            if count == 0:
                raise OSError(errno.ECONNRESET)
            self._inbound.feed(self._chunk[:count], self)
            if self._state == _CLOSED:
                return
        self._has_more = True

    def _queue(self, buffer, build, *parts):
        try:
            end = build(buffer, self._out_end, *parts)
        except packets.NoRoom:
            return False
        self._note_wait()
        self._out_end = end
        return True

    def _queue_large(self, start, end):
        self._note_wait()
        self._large_start = start
        self._large_end = end
        self._large_at = self._out_end

    def _note_wait(self):
        """Something will wait from now on, if nothing waits already."""
        if not self._is_waiting:
            self._stalled_ms = self._now_ms

    def _check_deadlines(self):
        now_ms = self._now_ms
        if self._state != _OPEN:
            if self._state == _GREETING and not self._is_waiting:
                if now_ms - self._sent_ms > CONNACK_TIMEOUT_MS:
                    self._fail("no CONNACK within %d s" % (CONNACK_TIMEOUT_MS // 1000))
            elif now_ms - self._opened_ms > CONNECT_TIMEOUT_MS:
                self._fail("no answer within %d s" % (CONNECT_TIMEOUT_MS // 1000))
        elif self._is_waiting and now_ms - self._stalled_ms > WRITE_STALL_MS_MAX:
            self._fail("nothing could be sent for %d s" % (WRITE_STALL_MS_MAX // 1000))
        elif self._pinged_ms is not None:
            if now_ms - self._pinged_ms > PING_TIMEOUT_MS:
                self._fail("no PINGRESP within %d s" % (PING_TIMEOUT_MS // 1000))
        elif now_ms - self._sent_ms > self.keepalive * 500:
            self._queue(self._out, packets.empty, packets.PINGREQ)
            self._pinged_ms = now_ms

    def packet(self, first_byte, body):
        """Inbound: a whole packet."""
        kind = first_byte & 0xF0
        if kind == packets.CONNACK and self._state == _GREETING:
            self._connack(body)
        elif self._state != _OPEN:
            raise ProtocolError("packet 0x%02x before CONNACK" % first_byte)
        elif kind == packets.PUBACK:
            self._handler.link_puback(packet_id_of(body))
        elif kind == packets.PUBLISH:
            topic, packet_id, start = publish_parts(first_byte, body)
            self._handler.link_message(topic, body[start:], packet_id)
        elif kind == packets.SUBACK:
            packet_id_of(body)
            for code in body[2:]:
                if self._state == _OPEN:  # until one is refused
                    self._handler.link_suback(code)
        elif kind == packets.PINGRESP:
            self._pinged_ms = None
        else:
            raise ProtocolError("unexpected packet 0x%02x" % first_byte)

    def oversize(self, packet_id, size, topic):
        """Inbound: a message that was too large and has been drained."""
        if self._state != _OPEN:
            raise ProtocolError("a message of %d bytes before CONNACK" % size)
        self._handler.link_refused(packet_id, size, topic)

    def _connack(self, body):
        if len(body) != 2:
            raise ProtocolError("malformed CONNACK")
        code = body[1]
        if code:
            self._fail(*explain(code))
            return
        self._state = _OPEN
        self._wire.arrived()
        self._handler.link_connected()

    def _fail(self, reason, is_refusal=False):
        if self._state != _OPEN:
            self._wire.led_nowhere()
        self.close()
        self._handler.link_closed(reason, is_refusal)
