"""What lies below the MQTT link in its tests: sockets, poll and TLS that are made of lists."""

from fieldpost.links import umqtt, wire

KEEPALIVE_S = 60
CONNACK = b"\x20\x02\x00\x00"
SUBACK = b"\x90\x03\x00\x01\x01"
PUBACK_7 = b"\x40\x02\x00\x07"
PINGRESP = b"\xd0\x00"


class FakeSocket:
    SOCK_STREAM = 1
    addresses = ("first", "second")

    def __init__(self, world):
        self._world = world

    def socket(self, family, kind, protocol):
        return self

    def setblocking(self, flag):
        pass

    def setsockopt(self, *option):
        pass

    def connect(self, address):
        self._world.tried.append(address[0])
        if self._world.connect_error:
            raise OSError(self._world.connect_error)

    def recv(self, count):
        return b""

    def close(self):
        pass


class FakeQuestion:
    error = None

    def __init__(self, host, port):
        self._port = port

    def answer(self):
        if self.error:
            raise OSError(self.error)
        return [(0, FakeSocket.SOCK_STREAM, 0, "hub", (address, self._port)) for address in FakeSocket.addresses]


class FakePoll:
    POLLIN, POLLOUT, POLLERR, POLLHUP = 1, 4, 8, 16

    def __init__(self, world):
        self._world = world

    def poll(self, timeout_ms=None):
        return self if timeout_ms is None else [(None, self._world.poll_event)]

    def register(self, *what):
        pass

    def unregister(self, what):
        pass

    def modify(self, what, wanted):
        self._world.wanted = wanted


class FakeTls:
    """The module and its stream in one: takes `room` bytes, gives `incoming`, raises `error`."""

    def __init__(self):
        self.room = 10**6
        self.sent = b""
        self.writes = 0
        self.incoming = b""
        self.error = None
        self.pollable = None

    def Stream(self, context, raw, host):
        return self

    def write(self, data):
        self.writes += 1
        count = min(len(data), self.room)
        self.room -= count
        self.sent += bytes(data[:count])
        return count or None

    def read_into(self, buffer):
        if self.error:
            error, self.error = self.error, None
            raise error
        count = min(len(buffer), len(self.incoming))
        buffer[:count] = self.incoming[:count]
        self.incoming = self.incoming[count:]
        return count or None

    def close(self):
        pass


class Dialect:
    client_id = "dev"
    username = "user"
    will = None
    clean_session = False


class World:
    """A link over fakes, and the handler that writes down what it is told."""

    def __init__(self):
        self.tried = []
        self.told = []
        self.connect_error = 0
        self.poll_event = FakePoll.POLLOUT
        self.wanted = 0
        self.stream = FakeTls()
        self._real = wire.socket, wire.select, wire.tls, wire._ask
        self.refuse_subscription = False
        self.has_room = True

    def __enter__(self):
        world = self

        class Select(FakePoll):
            def poll(self, timeout_ms=None):
                return FakePoll(world)

        wire.socket, wire.select, wire.tls = FakeSocket(self), Select(self), self.stream
        wire._ask = FakeQuestion
        self.link = umqtt.UmqttLink(Dialect(), "hub", 8883, KEEPALIVE_S, self.stream)
        return self

    def __exit__(self, *error):
        wire.socket, wire.select, wire.tls, wire._ask = self._real
        return False

    def open(self, now_ms=0):
        """Come as far as CONNACK."""
        self.link.open(now_ms, "secret", self)
        self.link.step(now_ms, self)
        self.receive(CONNACK, now_ms)
        assert self.told == ["connected"]
        self.told = []
        self.stream.sent = b""
        return self

    def receive(self, data, now_ms=0):
        self.stream.incoming += data
        self.link.step(now_ms, self)

    def link_connected(self):
        self.told.append("connected")

    def link_suback(self, code):
        self.told.append(("suback", code))
        if code == 0x80:
            self.link.close()

    def link_puback(self, packet_id):
        self.told.append(("puback", packet_id))

    def link_message(self, topic, payload, packet_id):
        self.told.append((bytes(topic), bytes(payload), packet_id))

    def link_refused(self, packet_id, size, topic):
        self.told.append(("refused", packet_id, size))

    def link_has_room(self):
        return self.has_room

    def link_closed(self, reason, is_refusal=False):
        self.told.append((reason, is_refusal))


def publish_large(link, topic, payload):
    """Publish as the outbox does it: written in its place."""
    body = link.body()
    body[: len(payload)] = payload
    assert link.publish_body(topic, body[: len(payload)], 7, False)


def publish_in_a_row(link, size, most=16):
    """Publish until the link has no room; return how many messages it took."""
    count = 0
    while count < most and link.body() is not None:
        publish_large(link, b"t", b"x" * size)
        count += 1
    return count
