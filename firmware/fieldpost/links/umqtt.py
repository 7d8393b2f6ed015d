"""umqtt.simple's client with its input and output replaced: nothing here waits, and nothing is forgotten.

    closed --open--> reaching (TCP) --> greeting (TLS, CONNECT) --CONNACK--> open
    any --error, silence or refusal--> closed, and the handler is told why

Kept of umqtt.simple (1.3.4 to 1.8): the client's identity, server, port and keep-alive as its constructor takes
them. Replaced, because a board must not hang: connect, publish, subscribe, ping and the reading of packets. Each
packet is one piece of one buffer, partial writes are finished, every state has a deadline, and a PINGRESP that
does not come ends the connection (MQTT 3.1.1 section 3.1.2.10).
"""

import errno
import gc
import select
import socket

from fieldpost.compat import alias_u_modules, const, sleep_ms
from fieldpost.limits import (
    CONNECT_TIMEOUT_MS,
    INBOUND_BYTES_MAX,
    OUT_BUFFER_BYTES,
    PING_TIMEOUT_MS,
    READ_CHUNK_BYTES,
    READS_PER_STEP_MAX,
    WRITE_STALL_MS_MAX,
)
from fieldpost.links import packets, tls
from fieldpost.links.inbound import Inbound, ProtocolError, packet_id_of, publish_parts

alias_u_modules()
from umqtt.simple import MQTTClient  # noqa: E402 - on CPython it needs the aliases

_CLOSED = const(0)
_REACHING = const(1)
_GREETING = const(2)
_OPEN = const(3)

# CONNACK return codes, section 3.2.2.3.
_REFUSALS = (
    "",
    "protocol version (1)",
    "client id (2)",
    "server unavailable (3)",
    "bad user name or password (4)",
    "not authorised (5)",
)
_UNAVAILABLE = const(3)
# Some ports use lwIP's numbers for "in progress" and know no name for them.
_IN_PROGRESS = (errno.EINPROGRESS, errno.EAGAIN, errno.EALREADY, 119)


class UmqttLink(MQTTClient):
    """A connection to one hub. All times are ms of one clock; ca_der: the root to trust, DER bytes.

    handler: link_connected(), link_suback(code), link_puback(packet_id), link_message(topic, payload, packet_id),
    link_refused(packet_id, size), link_closed(reason, is_refusal).
    """

    def __init__(self, dialect, host, port, keepalive_s, ca_der):
        super().__init__(dialect.client_id, host, port, keepalive=keepalive_s)
        self._username = dialect.username
        self._context = tls.client_context(ca_der)
        self._address = None
        self._raw = None
        self._stream = None
        self._poll = select.poll()
        self._out = memoryview(bytearray(OUT_BUFFER_BYTES))
        self._chunk = memoryview(bytearray(READ_CHUNK_BYTES))
        self._inbound = Inbound(INBOUND_BYTES_MAX)
        self._handler = None
        self._state = _CLOSED
        self._reset(0)

    def open(self, now_ms, password, handler):
        """Begin to connect; `step` goes on with it. Only the resolver may block, and it is asked once."""
        self.close()
        gc.collect()  # TLS needs one free run of 16.7 KB
        self._reset(now_ms)
        self._handler = handler
        self._out_end = packets.connect(self._out, 0, self.client_id, self._username, password, self.keepalive, True)
        self._piece_end = self._out_end
        try:
            if self._address is None:
                self._address = socket.getaddrinfo(self.server, self.port, 0, socket.SOCK_STREAM)[0]
            family, kind, protocol, _, address = self._address
            self._raw = socket.socket(family, kind, protocol)
            self._raw.setblocking(False)
            self._raw.connect(address)
        except OSError as error:
            if error.errno not in _IN_PROGRESS:
                self._fail("no way to %s: %s" % (self.server, _words(error)))
                return
        self._poll.register(self._raw, select.POLLOUT)
        self._state = _REACHING

    def step(self, now_ms, handler):
        """Send and receive what goes without waiting, and see to the deadlines."""
        self._handler = handler
        self._now_ms = now_ms
        try:
            if self._state == _REACHING:
                self._reach()
            if self._state >= _GREETING:
                self._write()
                self._read()
            if self._state != _CLOSED:
                self._check_deadlines()
        except ValueError as error:
            # A certificate that cannot be verified; on CPython that error is an OSError as well.
            self._fail("certificate not accepted: %s" % _one_line(error), True)
        except (OSError, ProtocolError) as error:
            self._fail(_words(error))

    def publish(self, topic, payload, packet_id, dup):
        """Queue a QoS 1 publish whole; False if there is no room for it now. topic: bytes."""
        if self._state != _OPEN:
            return False
        return self._queue(packets.publish, topic, payload, packet_id, dup)

    def puback(self, packet_id):
        """Acknowledge a message. One that finds no room is left out: the hub delivers it again."""
        return self._state == _OPEN and self._queue(packets.puback, packet_id)

    def subscribe(self, topic, qos, packet_id):
        """Ask for a topic filter (str); the answer comes to link_suback."""
        return self._queue(packets.subscribe, topic, qos, packet_id)

    def close(self):
        """Let go of the connection at once; the handler is not called."""
        self._state = _CLOSED
        if self._raw is not None:
            self._poll = select.poll()
            for layer in (self._stream, self._raw):
                try:
                    if layer is not None:
                        layer.close()
                except OSError:
                    pass  # closing a dead TLS connection may fail; it is closed all the same
        self._stream = None
        self._raw = None

    disconnect = close

    def wait(self, timeout_ms):
        """Sleep until something can be received or `timeout_ms` have passed.

        The raw socket is waited for, which costs nothing while idle; that is right only because `step` has
        drained the TLS layer, or says that it has not.
        """
        if timeout_ms <= 0 or self._has_more:
            return
        if self._raw is None:
            sleep_ms(timeout_ms)
            return
        wanted = select.POLLIN
        if self._state == _REACHING or self._out_start < self._out_end:
            wanted |= select.POLLOUT
        if self._state == _GREETING:
            wanted = select.POLLIN
        self._poll.modify(self._raw if self._stream is None else self._stream.pollable, wanted)
        self._poll.poll(timeout_ms)

    def _reset(self, now_ms):
        self._inbound.reset()
        self._out_start = 0  # sent up to here
        self._piece_end = 0  # TLS must be given the same bytes again until here
        self._out_end = 0
        self._has_more = False
        self._now_ms = now_ms
        self._opened_ms = now_ms
        self._sent_ms = now_ms  # when bytes last left
        self._pinged_ms = None

    def _reach(self):
        for event in self._poll.poll(0):
            if event[1] & (select.POLLERR | select.POLLHUP):
                raise OSError(errno.ECONNREFUSED)
            if event[1] & select.POLLOUT:
                _no_delay(self._raw)
                self._poll.unregister(self._raw)
                self._stream = tls.Stream(self._context, self._raw, self.server)
                self._poll.register(self._stream.pollable, select.POLLIN)
                self._state = _GREETING

    def _write(self):
        while self._out_start < self._out_end:
            count = self._stream.write(self._out[self._out_start : self._piece_end])
            if not count:
                return
            self._sent_ms = self._now_ms
            self._out_start += count
            if self._out_start == self._piece_end:
                self._piece_end = self._out_end
        self._out_start = self._piece_end = self._out_end = 0

    def _read(self):
        for _ in range(READS_PER_STEP_MAX):
            count = self._stream.read_into(self._chunk)
            if count is None:
                self._has_more = False
                return
            if count == 0:
                raise OSError(errno.ECONNRESET)
            self._inbound.feed(self._chunk[:count], self)
            if self._state == _CLOSED:
                return
        self._has_more = True

    def _queue(self, build, *parts):
        try:
            end = build(self._out, self._out_end, *parts)
        except packets.NoRoom:
            return False
        idle = self._out_start == self._out_end
        self._out_end = end
        if idle:
            self._piece_end = end
        return True

    def _check_deadlines(self):
        now_ms = self._now_ms
        if self._state != _OPEN:
            if now_ms - self._opened_ms > CONNECT_TIMEOUT_MS:
                self._fail("no answer within %d s" % (CONNECT_TIMEOUT_MS // 1000))
        elif self._out_start < self._out_end and now_ms - self._sent_ms > WRITE_STALL_MS_MAX:
            self._fail("nothing could be sent for %d s" % (WRITE_STALL_MS_MAX // 1000))
        elif self._pinged_ms is not None:
            if now_ms - self._pinged_ms > PING_TIMEOUT_MS:
                self._fail("no PINGRESP within %d s" % (PING_TIMEOUT_MS // 1000))
        elif now_ms - self._sent_ms > self.keepalive * 500 and self._queue(packets.empty, packets.PINGREQ):
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
                self._handler.link_suback(code)
        elif kind == packets.PINGRESP:
            self._pinged_ms = None
        else:
            raise ProtocolError("unexpected packet 0x%02x" % first_byte)

    def oversize(self, first_byte, beginning, size):
        """Inbound: a packet that was too large and has been drained."""
        if first_byte & 0xF0 != packets.PUBLISH or self._state != _OPEN:
            raise ProtocolError("packet 0x%02x of %d bytes" % (first_byte, size))
        _, packet_id, _ = publish_parts(first_byte, beginning)
        if packet_id:
            self._handler.link_refused(packet_id, size)

    def _connack(self, body):
        if len(body) != 2:
            raise ProtocolError("malformed CONNACK")
        code = body[1]
        if code:
            word = _REFUSALS[code] if code < len(_REFUSALS) else "code %d" % code
            self._fail("refused: " + word, code != _UNAVAILABLE)
            return
        self._state = _OPEN
        self._handler.link_connected()

    def _fail(self, reason, is_refusal=False):
        if self._state == _REACHING or self._raw is None:
            self._address = None  # ask the resolver again
        self.close()
        self._handler.link_closed(reason, is_refusal)


def _no_delay(raw):
    """Send small packets at once; ports without the option do so anyway."""
    option = getattr(socket, "TCP_NODELAY", None)
    level = getattr(socket, "IPPROTO_TCP", None)
    if option is not None and level is not None:
        raw.setsockopt(level, option, 1)


def _words(error):
    """Return what an error means, in few words."""
    code = error.args[0] if error.args else 0
    if code == errno.ECONNRESET:
        return "connection lost"
    if code == errno.ECONNREFUSED:
        return "nobody listens there"
    if code in (errno.EHOSTUNREACH, errno.ETIMEDOUT):
        return "host not reachable"
    return _one_line(error)


def _one_line(error):
    return str(error).replace("\n", " ").strip()
