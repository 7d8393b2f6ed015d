"""The link without a network: sockets, poll and TLS below it are made of lists."""

import errno

from fieldpost.limits import (
    BATCH_BYTES_MAX,
    CONNACK_TIMEOUT_MS,
    CONNECT_TIMEOUT_MS,
    EVENT_TOPIC_BYTES_MAX,
    INBOUND_BYTES_MAX,
    PING_TIMEOUT_MS,
    READ_CHUNK_BYTES,
    WRITE_STALL_MS_MAX,
)
from fieldpost.links import packets, reasons, umqtt, wire
from support import raises

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


def test_commands_that_waited_at_the_hub_are_asked_for():
    """Goal: CleanSession 0 (section 3.1.2.4), with which IoT Hub keeps commands for a device that is away."""
    with World() as world:
        world.link.open(0, "secret", world)
        world.link.step(0, world)
        flags = world.stream.sent[9]
        assert world.stream.sent[4:8] == b"MQTT"
        assert flags & 0x02 == 0 and flags & 0xC0 == 0xC0


def test_an_acknowledgement_finds_room_when_publishes_have_filled_the_output():
    with World() as world:
        world.open()
        world.stream.room = 0
        publish_large(world.link, b"t", b"x" * 3000)
        while world.link.publish(b"t", b"x" * 100, 1, False):
            pass
        for packet_id in range(1, 51):
            world.link.puback(packet_id)
        world.stream.room = 10**6
        world.link.step(0, world)
        pubacks = b"".join([b"\x40\x02\x00" + bytes([packet_id]) for packet_id in range(1, 51)])
        assert world.stream.sent.endswith(pubacks)


def test_the_largest_batch_fits_with_the_longest_topic():
    with World() as world:
        world.open()
        topic, payload = b"t" * EVENT_TOPIC_BYTES_MAX, b"x" * BATCH_BYTES_MAX
        publish_large(world.link, topic, payload)
        world.link.step(0, world)
        whole = memoryview(bytearray(6000))
        assert world.stream.sent == bytes(whole[: packets.publish(whole, 0, topic, payload, 7, False)])


def test_a_body_stays_the_links_until_it_is_sent_and_then_the_next_is_asked_for():
    with World() as world:
        assert world.link.body() is None, "nothing is packed for a link that is closed"
        world.open()
        world.stream.room = 100
        publish_large(world.link, b"t", b"x" * 3000)
        world.link.step(1, world)
        assert world.link.body() is None
        world.stream.room = 10**6
        world.link.step(2, world)
        assert world.link.body() is not None
        assert world.stream.sent.endswith(b"x" * 3000)


def test_packets_leave_in_the_order_in_which_they_were_queued_however_slowly():
    def queue(link, number):
        if number == 1:
            assert link.publish(b"t", b"a" * 50, 1, False)
        elif number == 2:
            publish_large(link, b"t", b"b" * 2000)
        elif number == 3:
            link.puback(9)
        elif number == 4:
            assert link.publish(b"t", b"c" * 50, 0, False)

    expected = None
    for room in (10**6, 1, 7, 60, 64, 1999):
        for pause in range(5):  # one step is taken before that packet
            with World() as world:
                world.open()
                world.stream.room = 0
                for number in range(5):
                    queue(world.link, number)
                    if number == pause:
                        world.stream.room = room
                        world.link.step(number, world)
                        world.stream.room = 0
                for now_ms in range(5, 2300):
                    world.stream.room = room
                    world.link.step(now_ms, world)
                expected = expected or world.stream.sent
                assert len(expected) > 2100 and world.stream.sent == expected, (room, pause)
                assert world.told == []


def test_tls_is_given_the_same_bytes_again_until_it_has_taken_them():
    """Goal: a write that said "not now" may have begun a record (mbed TLS, mbedtls_ssl_write)."""
    with World() as world:
        world.open()
        offered = []
        world.stream.write = lambda data: offered.append(bytes(data))
        for queue in (
            lambda: world.link.publish(b"t", b"a", 1, False),
            lambda: publish_large(world.link, b"t", b"b" * 2000),
            lambda: world.link.puback(9),
        ):
            queue()
            world.link.step(1, world)
        assert len(offered) == 3 and len(set(offered)) == 1


def publish_in_a_row(link, size, most=16):
    """Publish until the link has no room; return how many messages it took."""
    count = 0
    while count < most and link.body() is not None:
        publish_large(link, b"t", b"x" * size)
        count += 1
    return count


def test_small_messages_leave_in_a_row_without_waiting_for_each_other():
    with World() as world:
        world.open()
        world.stream.room = 0
        count = publish_in_a_row(world.link, 200)
        assert 4 < count < 16
        world.stream.room = 10**6
        assert publish_in_a_row(world.link, 200) == 16, "as long as the socket takes them"
        world.link.step(1, world)
        assert len(world.stream.sent) == (count + 16) * 208
        assert publish_in_a_row(world.link, 3000) == 1, "a step takes no longer than one of these"


def test_an_error_that_is_met_between_two_steps_is_told_in_the_next():
    def fail(data):
        raise OSError(errno.ECONNRESET)

    with World() as world:
        world.open()
        world.stream.write = fail
        assert publish_in_a_row(world.link, 200) < 16 and world.told == []
        world.stream.write = len
        assert world.link.body() is None
        world.link.step(1, world)
        assert world.told == [("connection lost", False)]
        world.told = []
        del world.stream.write
        world.open()
        assert world.link.body() is not None


def test_a_long_report_leaves_from_where_bodies_do_when_that_is_free():
    with World() as world:
        world.open()
        publish_large(world.link, b"t", b"x" * 3000)
        assert not world.link.publish(b"report", b"y" * 3000, 0, False)
        world.link.step(1, world)
        world.stream.sent = b""
        assert world.link.publish(b"report", b"y" * 3000, 0, False)
        assert not world.link.publish(b"report", b"z" * 3000, 0, False) and world.link.body() is None
        world.link.step(2, world)
        assert world.stream.sent == b"\x30\xc0\x17\0\6report" + b"y" * 3000


def test_a_connect_that_is_too_long_says_what_would_help():
    with World() as world:
        world.link.open(0, "p" * 6000, world)
        assert world.told == [("name and password need a larger batch.bytes_max", True)]


def test_nothing_is_read_while_commands_have_no_room():
    with World() as world:
        world.open()
        world.has_room = False
        world.receive(PUBACK_7)
        assert world.told == []
        world.has_room = True
        world.link.step(1, world)
        assert world.told == [("puback", 7)]


def test_nothing_is_read_while_acknowledgements_wait_in_the_reserved_room():
    with World() as world:
        world.open()
        world.stream.room = 0
        while world.link.publish(b"t", b"x" * 20, 1, False):
            pass
        publish_large(world.link, b"t", b"x" * 3000)
        for packet_id in range(1, 9):
            world.link.puback(packet_id)
        world.receive(PUBACK_7)
        assert world.told == []
        world.link.wait(10)
        assert world.wanted == FakePoll.POLLOUT, "what will not be read must not wake the loop"
        world.stream.room = 10**6
        world.link.step(0, world)
        assert world.told == [("puback", 7)]


def test_an_address_that_leads_nowhere_gives_way_to_the_next():
    with World() as world:
        world.connect_error = errno.EHOSTUNREACH
        for _ in range(3):
            world.link.open(0, "secret", world)
        assert world.tried == ["first", "second", "first"]
        assert world.told == [("no way to hub: no route", False)] * 3
        world.connect_error = 0
        world.told = []
        world.open()
        world.receive(b"\xff")
        world.link.open(0, "secret", world)
        assert world.tried[3:] == ["second", "second"], "an address that led to the hub is kept"


def test_without_a_name_server_the_address_that_was_good_before_will_do():
    with World() as world:
        FakeQuestion.error = "the name server does not answer"
        try:
            world.link.open(0, "secret", world)
            assert world.told == [("no way to hub: the name server does not answer", False)] and world.tried == []
            FakeQuestion.error, world.told = None, []
            world.open()
            world.receive(b"\xff")
            FakeQuestion.error = "the name server does not answer"
            world.connect_error = errno.ECONNREFUSED
            for _ in range(3):
                world.link.open(0, "secret", world)
            assert world.tried == ["second"] * 4
        finally:
            FakeQuestion.error = None


def test_an_address_where_nobody_speaks_tls_gives_way_to_the_next():
    with World() as world:
        world.stream.room = 0
        for _ in range(2):
            world.link.open(0, "secret", world)
            world.link.step(0, world)
            world.link.step(CONNECT_TIMEOUT_MS + 1, world)
        assert world.tried == ["first", "second"]
        assert world.told == [("no answer within 20 s", False)] * 2


def test_a_busy_hub_has_time_for_its_connack_once_it_has_been_asked():
    with World() as world:
        world.link.open(0, "secret", world)
        world.link.step(5_000, world)
        world.link.step(5_000 + CONNACK_TIMEOUT_MS, world)
        assert world.told == []
        world.link.step(5_001 + CONNACK_TIMEOUT_MS, world)
        assert world.told == [("no CONNACK within 60 s", False)]


def test_only_a_refusal_that_haste_may_help_against_is_none_for_long():
    told = [reasons.of_refusal(code) for code in (1, 2, 3, 4, 5, 6)]
    assert [is_refusal for _, is_refusal in told] == [True, True, False, True, True, True]
    assert reasons.of_error(OSError(-29056)) == "TLS failed (-0x7180)"  # MBEDTLS_ERR_SSL_INVALID_MAC


def test_a_lack_of_memory_ends_the_connection_and_not_the_agent():
    for is_open in (False, True):
        with World() as world:
            if is_open:
                world.open()
            else:
                world.link.open(0, "secret", world)
                world.link.step(0, world)
            world.stream.error = MemoryError()
            world.link.step(0, world)
            assert world.told == [("not enough memory", False)], is_open


def test_a_value_error_is_a_bad_certificate_during_the_handshake_and_a_bug_after_it():
    with World() as world:
        world.link.open(0, "secret", world)
        world.stream.error = ValueError("unable to get local issuer certificate")
        world.link.step(0, world)
        assert world.told == [("certificate not accepted: unable to get local issuer certificate", True)]
    with World() as world:
        world.open()
        world.stream.error = ValueError("a bug of ours")
        with raises(ValueError):
            world.link.step(0, world)


def test_a_connection_that_is_gone_is_told_in_the_same_words_whoever_notices():
    for code in (errno.ECONNRESET, -errno.ECONNRESET, 32, -32, -29312):
        with World() as world:
            world.open()
            world.stream.error = OSError(code)
            world.link.step(0, world)
            assert world.told == [("connection lost", False)], code


def test_a_packet_goes_to_tls_in_one_piece_and_what_it_does_not_take_follows():
    with World() as world:
        world.open()
        world.stream.writes = 0
        publish_large(world.link, "gr\u00fcn".encode(), b"x" * 3000)
        world.link.step(0, world)
        assert world.stream.writes == 1, "one TLS record"
        whole, world.stream.sent = world.stream.sent, b""
        for now_ms in range(1, 4000):
            world.stream.room = 1
            if now_ms == 1:
                publish_large(world.link, "gr\u00fcn".encode(), b"x" * 3000)
            world.link.step(now_ms, world)
        assert world.stream.sent == whole


def test_a_link_that_parts_says_so_and_one_that_is_closed_does_not():
    for is_parting in (False, True):
        with World() as world:
            world.open()
            if is_parting:
                world.link.disconnect()
            else:
                world.link.close()
            assert world.stream.sent == (b"\xe0\x00" if is_parting else b"") and world.told == []


def test_output_that_does_not_move_ends_the_connection_and_slow_output_does_not():
    with World() as world:
        world.open()
        world.stream.room = 0
        assert world.link.publish(b"t", b"x" * 100, 1, False)
        for now_ms in (WRITE_STALL_MS_MAX, 2 * WRITE_STALL_MS_MAX):
            world.stream.room = 1
            world.link.step(now_ms, world)
            assert world.told == [], now_ms
        world.link.step(3 * WRITE_STALL_MS_MAX, world)
        assert world.told == []
        world.link.step(3 * WRITE_STALL_MS_MAX + 1, world)
        assert world.told == [("nothing could be sent for 20 s", False)]


def test_an_idle_hour_before_a_publish_is_no_stall():
    with World() as world:
        world.open()
        world.stream.room = 0
        world.link.step(WRITE_STALL_MS_MAX, world)
        world.link.publish(b"t", b"x", 1, False)
        world.link.step(WRITE_STALL_MS_MAX + 1, world)
        assert world.told == []


def test_a_ping_without_an_answer_ends_the_connection():
    due_ms = KEEPALIVE_S * 500 + 1
    with World() as world:
        world.open()
        world.link.step(due_ms, world)
        world.link.step(due_ms, world)
        assert world.stream.sent == b"\xc0\x00"
        world.receive(PINGRESP, due_ms + PING_TIMEOUT_MS)
        world.link.step(2 * due_ms, world)
        world.link.step(2 * due_ms, world)
        assert world.stream.sent == b"\xc0\x00" * 2 and world.told == []
        world.link.step(2 * due_ms + PING_TIMEOUT_MS + 1, world)
        assert world.told == [("no PINGRESP within 10 s", False)]


def test_what_follows_a_closing_packet_in_the_same_chunk_is_ignored():
    refused = b"\x20\x02\x00\x05"
    for rest in (b"", CONNACK, PUBACK_7, b"\xff\xff\xff\xff\xff"):
        with World() as world:
            world.link.open(0, "secret", world)
            world.link.step(0, world)
            world.receive(refused + rest)
            assert world.told == [("refused: not authorised (5)", True)], rest
    with World() as world:
        world.open()
        world.receive(b"\x90\x04\x00\x01\x80\x01" + SUBACK + PUBACK_7 + b"\xff\xff\xff\xff\xff")
        assert world.told == [("suback", 0x80)], "a handler that closes is told nothing more"


def test_a_connection_after_one_that_ended_in_the_middle_of_a_packet_begins_afresh():
    with World() as world:
        world.open()
        world.receive(b"\x40\x02\x00")
        world.link.open(0, "secret", world)
        world.link.step(0, world)
        world.receive(CONNACK + PUBACK_7)
        assert world.told == ["connected", ("puback", 7)]


def test_a_link_that_was_closed_with_more_to_read_sleeps_until_the_next_connection():
    with World() as world:
        world.open()
        world.receive(PUBACK_7 * (READ_CHUNK_BYTES * 20 // len(PUBACK_7)))
        naps = []
        real, wire.sleep_ms = wire.sleep_ms, naps.append
        try:
            world.link.wait(20)
            assert naps == [], "there is more to read"
            world.link.close()
            world.link.wait(20)
            assert naps == [20]
        finally:
            wire.sleep_ms = real


def test_a_message_too_large_for_the_buffer_is_told_with_its_packet_id():
    topic = b"t" * (INBOUND_BYTES_MAX + 100)
    body = len(topic).to_bytes(2, "big") + topic + b"\x01\x02" + b"x" * 50
    with World() as world:
        world.open()
        world.receive(b"\x32" + bytes([len(body) & 0x7F | 0x80, len(body) >> 7]) + body + PUBACK_7)
        for _ in range(len(body) // READ_CHUNK_BYTES):
            world.link.step(0, world)
        assert world.told == [("refused", 0x0102, len(body)), ("puback", 7)]
