"""The Raspberry Pi's link: paho-mqtt 2 with manual acknowledgement, stepped, over the same wire as boards.

    closed --open--> reaching (TCP) --> greeting (TLS, CONNECT) --CONNACK--> open
    any --error, silence or refusal--> closed, and the handler is told why

paho speaks MQTT: packets, packet ids, keep-alive. Its thread, its waiting and its reconnecting are not used.
- Its connect() waits for TCP, TLS and WebSocket in turn and can be held up for hours by a server that drips. So it is
  given a socket that is connected already and never waits (`_create_socket`, the one method here that is not public;
  paho offers none that is).
- It chooses packet ids itself and cannot be given others. It also keeps what was not acknowledged and, when the same
  Client has connected again, sends it once more by itself, with DUP, the same id and the same bytes (MQTT 3.1.1
  section 4.4). So one Client lives as long as the link; which of the window's batches is which of its messages stands
  in a table, and a batch that it still holds is not given to it twice.
- Its callbacks only note what happened. The handler hears of it afterwards, when it may close the connection.
"""

import struct
from collections import deque

from paho.mqtt.client import CallbackAPIVersion, Client
from paho.mqtt.enums import MQTTErrorCode

from fieldpost.limits import (
    BATCH_BYTES_MAX,
    COMMAND_BYTES_MAX,
    CONNACK_TIMEOUT_MS,
    CONNECT_TIMEOUT_MS,
    MESSAGE_BYTES_MAX,
    READ_CHUNK_BYTES,
    READS_PER_STEP_MAX,
    WRITE_STALL_MS_MAX,
)
from fieldpost.links import reasons
from fieldpost.links.inbound import ProtocolError
from fieldpost.links.packets import CONNACK
from fieldpost.links.wire import NoWay, Wire

_CLOSED = 0
_REACHING = 1
_GREETING = 2
_OPEN = 3


class PahoLink:
    """As UmqttLink, see there. Longer messages than `inbound_bytes` are refused, than MESSAGE_BYTES_MAX never read.

    A PINGRESP that does not come ends the connection after twice the keep-alive at the latest: that is paho's rule.
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
        self._dialect = dialect
        self._keepalive_s = keepalive_s
        self._inbound_bytes = inbound_bytes
        self._wire = Wire(host, port, context, path)
        self._body = memoryview(bytearray(body_bytes))
        self._socket = _Socket(None)
        self._packet_ids = {}  # the window's, by paho's
        self._held = {}  # paho's, by the window's
        self._acknowledged = []  # ids of paho's
        self._events = deque()
        self._handler = None
        self._state = _CLOSED
        self._has_more = False
        self._is_held_up = False  # by a handler without room
        self._now_ms = self._opened_ms = self._stalled_ms = self._sent_ms = 0
        self._make_client(host, port)

    def trust(self, context):
        """Judge certificates by another context from the next `open` on."""
        self._wire.context = context

    def point(self, host, port):
        """Let go of the connection; lead to another hub from the next `open` on."""
        self.close()
        self._wire.point(host, port)
        self._packet_ids.clear()
        self._held.clear()
        self._acknowledged.clear()
        self._make_client(host, port)

    def _make_client(self, host, port):
        dialect = self._dialect
        self._client = client = _Client(
            CallbackAPIVersion.VERSION2,
            dialect.client_id,
            clean_session=dialect.clean_session,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.max_inflight_messages_set(0)  # the window bounds them
        client.connect_async(host, port, self._keepalive_s)
        if dialect.will is not None:
            topic, payload, qos, retain = dialect.will
            client.will_set(topic.decode(), payload, qos, retain)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message

    def open(self, now_ms, password, handler):
        """Begin to connect; `step` goes on with it."""
        self.close()
        self._handler = handler
        self._now_ms = self._opened_ms = self._stalled_ms = now_ms
        self._client.username_pw_set(self._dialect.username, password)
        self._state = _REACHING
        try:
            self._wire.open()
        except NoWay as error:
            self._fail(str(error))

    def step(self, now_ms, handler):
        """Send and receive what goes without waiting, and see to the deadlines."""
        self._handler = handler
        self._now_ms = now_ms
        self._has_more = False
        try:
            if self._state == _REACHING and self._wire.step():
                self._state = _GREETING
                self._socket = self._client.next_socket = _Socket(self._wire)
                self._client.reconnect()  # takes the socket and queues CONNECT
            if self._state >= _GREETING:
                self._exchange()
            if self._state != _CLOSED:
                self._check_deadlines()
        except NoWay as error:
            self._fail(str(error))
        except OSError as error:
            self._fail(reasons.of_error(error))

    def body(self):
        """Return where to write the next body (memoryview), None if it could not leave now."""
        return None if self._state != _OPEN or self._client.want_write() else self._body

    def publish(self, topic, payload, packet_id, dup, retain=False):
        """Hand over a publish; False if there is no room for it now. topic: bytes. packet_id 0: QoS 0, else 1."""
        if self.body() is None:
            return False
        if packet_id in self._held:
            return True  # sent again by paho itself, as it was when it first left
        message = self._client.publish(topic.decode(), bytes(payload), 1 if packet_id else 0, retain)
        if not packet_id:
            return message.rc == MQTTErrorCode.MQTT_ERR_SUCCESS
        if message.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            return False  # paho has come round to an id that is in use
        self._packet_ids[message.mid] = packet_id  # if it could not be sent, it leaves with the next connection
        self._held[packet_id] = message.mid
        return True

    publish_body = publish  # paho has copied it

    def puback(self, packet_id):
        """Acknowledge a message; on a connection that has ended the hub will deliver it again."""
        if self._state == _OPEN:
            self._client.ack(packet_id, 1)

    def subscribe(self, topic, qos, packet_id):
        """Ask for a topic filter (str); the answer comes to link_suback. packet_id: unused, paho has its own."""
        self._client.subscribe(topic, qos)

    def close(self):
        """Let go of the connection at once; the handler is not called."""
        self._state = _CLOSED
        self._has_more = self._is_held_up = False  # or nobody would sleep until the next connection
        self._events.clear()
        self._socket.let_go()
        self._wire.close()

    def disconnect(self):
        """Say DISCONNECT, so that no will is published, if that goes at once; let go."""
        if self._state == _OPEN and not self._client.want_write():
            self._client.disconnect()
        self.close()

    def wait(self, timeout_ms):
        """Sleep until something can be received or sent, or `timeout_ms` have passed."""
        if timeout_ms <= 0 or self._has_more:
            return
        is_writing = self._state == _OPEN and self._client.want_write()
        self._wire.wait(timeout_ms, not self._is_held_up, is_writing)

    def _exchange(self):
        client, flow = self._client, self._socket
        sent = flow.sent
        if client.want_write():
            self._check(client.loop_write)
        if flow.sent != sent:
            self._sent_ms = self._now_ms
        if flow.sent != sent or not client.want_write():
            self._stalled_ms = self._now_ms
        self._tell()
        for _ in range(READS_PER_STEP_MAX):
            if self._state == _CLOSED or self._is_held_up:
                return
            taken = flow.taken
            self._check(client.loop_read)
            self._tell()
            if flow.taken == taken:
                break
        else:
            self._has_more = True
        if self._state == _OPEN:
            words = "no PINGRESP within %d s" % self._keepalive_s
            self._check(client.loop_misc, words)
            if self._state == _OPEN and client.socket() is None:
                self._fail(words)  # paho looks twice, and does not say so when it is the first look that closes

    def _check(self, act, words="connection lost"):
        """Let paho act; end the connection if it says so, or if the bytes beneath it stopped flowing."""
        if self._state == _CLOSED:
            return
        flow = self._socket
        try:
            code = act()
        except (ValueError, IndexError, KeyError, struct.error):
            code = MQTTErrorCode.MQTT_ERR_PROTOCOL  # what its parser raises for something that is no packet
        self._tell_acknowledged()
        if self._state == _GREETING and flow.refusal:
            self._fail(*reasons.of_refusal(flow.refusal))
        elif isinstance(flow.error, ValueError):
            self._fail(reasons.of_certificate(flow.error), True)
        elif flow.error is not None:
            self._fail(reasons.of_error(flow.error))
        elif code == MQTTErrorCode.MQTT_ERR_PROTOCOL:
            self._fail("the peer does not speak MQTT 3.1.1")
        elif code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._fail(words)

    def _tell_acknowledged(self):
        for mid in self._acknowledged:
            packet_id = self._packet_ids.pop(mid, 0)
            if packet_id:
                del self._held[packet_id]
                self._handler.link_puback(packet_id)
        self._acknowledged.clear()

    def _tell(self):
        """Tell the handler what has come, as long as it has room and leaves the connection open."""
        self._is_held_up = False
        while self._events and self._state != _CLOSED:
            kind, what = self._events[0]
            if kind == "message" and not self._handler.link_has_room():
                self._is_held_up = True
                return
            self._events.popleft()
            if kind == "connected":
                self._state = _OPEN
                self._wire.arrived()
                self._handler.link_connected()
            elif self._state != _OPEN:
                self._fail("the peer does not speak MQTT 3.1.1")  # something before CONNACK
            elif kind == "suback":
                self._handler.link_suback(what)
            else:
                self._tell_message(what)

    def _tell_message(self, message):
        packet_id = message.mid if message.qos else 0
        try:
            topic = message.topic.encode()
        except UnicodeError:
            topic = b""  # no topic of MQTT (section 4.7.3): nobody's
        size = len(topic) + len(message.payload) + 2
        if size > self._inbound_bytes:
            self._handler.link_refused(packet_id, size, memoryview(topic))
        else:
            self._handler.link_message(memoryview(topic), memoryview(message.payload), packet_id)

    def _check_deadlines(self):
        if self._state == _GREETING and self._socket.sent and not self._client.want_write():
            if self._now_ms - self._sent_ms > CONNACK_TIMEOUT_MS:
                self._fail("no CONNACK within %d s" % (CONNACK_TIMEOUT_MS // 1000))
        elif self._state != _OPEN:
            if self._now_ms - self._opened_ms > CONNECT_TIMEOUT_MS:
                self._fail("no answer within %d s" % (CONNECT_TIMEOUT_MS // 1000))
        elif self._now_ms - self._stalled_ms > WRITE_STALL_MS_MAX:
            self._fail("nothing could be sent for %d s" % (WRITE_STALL_MS_MAX // 1000))

    def _fail(self, reason, is_refusal=False):
        if self._state != _OPEN:
            self._wire.led_nowhere()
        self.close()
        self._handler.link_closed(reason, is_refusal)

    def _on_connect(self, client, userdata, flags, reason_code, properties):
        if not reason_code.is_failure:
            self._events.append(("connected", None))

    def _on_subscribe(self, client, userdata, mid, reason_codes, properties):
        for code in reason_codes:
            self._events.append(("suback", code.value))

    def _on_publish(self, client, userdata, mid, reason_code, properties):
        self._acknowledged.append(mid)

    def _on_message(self, client, userdata, message):
        self._events.append(("message", message))


class _Client(Client):
    """A paho client that is given its socket. next_socket: what it uses from the next reconnect() on."""

    next_socket = None

    def _create_socket(self):
        return self.next_socket


class _Socket:
    """What paho takes for a socket: a wire that is up. It never raises what paho would swallow; `error` holds it.

    wire: None for one that is closed. sent, taken: bytes so far. refusal: the return code of a CONNACK that says no.
    """

    def __init__(self, wire):
        self._wire = wire
        self._chunk = memoryview(bytearray(READ_CHUNK_BYTES))
        self._start = self._end = 0
        self._first = b""
        self.sent = 0
        self.taken = 0
        self.refusal = 0
        self.error = None

    def send(self, data):
        """Return how many bytes were taken. Raises BlockingIOError."""
        count = self._guarded("write", data)
        if not count:
            raise BlockingIOError
        self.sent += count
        return count

    def recv(self, wanted):
        """Return up to `wanted` bytes, none at the end. Raises BlockingIOError."""
        if wanted > MESSAGE_BYTES_MAX:  # paho asks for the whole of a packet and would take memory for it
            self.error = ProtocolError("a packet of %d bytes is too long for this device" % wanted)
            return b""
        if self._start == self._end:
            count = self._guarded("read_into", self._chunk)
            if count is None:
                raise BlockingIOError
            self._start, self._end = 0, count
            if len(self._first) < 4:
                self._look_for_refusal()
        data = bytes(self._chunk[self._start : min(self._end, self._start + wanted)])
        self._start += len(data)
        self.taken += len(data)
        return data

    def let_go(self):
        """The wire belongs to another connection from now on."""
        self._wire = None

    def close(self):
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def fileno(self):
        return -1

    def setblocking(self, flag):
        pass

    def _guarded(self, act, buffer):
        if self.error is None and self._wire is not None:
            try:
                return getattr(self._wire, act)(buffer)
            except (OSError, ValueError, ProtocolError) as error:
                self.error = error
        return 0

    def _look_for_refusal(self):
        """Note the return code: paho tells codes of MQTT 5 in its place, and nothing at all of the first."""
        self._first += bytes(self._chunk[: self._end])[: 4 - len(self._first)]
        if len(self._first) == 4 and self._first[0] == CONNACK:
            self.refusal = self._first[3]
