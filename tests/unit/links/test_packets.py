"""MQTT 3.1.1 packets, byte for byte, and the parser under every way of cutting the stream."""

from fieldpost.links import packets
from fieldpost.links.inbound import Inbound, ProtocolError, packet_id_of, publish_parts
from support import raises

BUFFER = bytearray(400)


class Dialect:
    def __init__(self, client_id, username=None, will=None, clean_session=False):
        self.client_id = client_id
        self.username = username
        self.will = will
        self.clean_session = clean_session


def connect(dialect, password=None, keepalive_s=10):
    return bytes(BUFFER[: packets.connect(BUFFER, 0, dialect, password, keepalive_s)])


def test_connect_is_byte_exact():
    packet = connect(Dialect("dev", "user", clean_session=True), "pass", 60)
    assert packet == b"\x10\x1b\x00\x04MQTT\x04\xc2\x00\x3c\x00\x03dev\x00\x04user\x00\x04pass"
    assert connect(Dialect("d")) == b"\x10\x0d\x00\x04MQTT\x04\x00\x00\x0a\x00\x01d"


def test_connect_with_a_user_name_and_no_password_as_a_client_certificate_wants_it():
    assert connect(Dialect("d", "u")) == b"\x10\x10\x00\x04MQTT\x04\x80\x00\x0a\x00\x01d\x00\x01u"
    with raises(AssertionError):
        connect(Dialect("d"), "a password that belongs to nobody")


def test_connect_with_a_will():
    packet = connect(Dialect("d", "u", (b"t/w", b"gone", 1, True)), "p")
    assert packet == (
        b"\x10\x1e\x00\x04MQTT\x04\xec\x00\x0a\x00\x01d" + b"\x00\x03t/w\x00\x04gone" + b"\x00\x01u\x00\x01p"
    )
    packet = connect(Dialect("d", will=(b"w", b"", 0, False)))
    assert packet == b"\x10\x12\x00\x04MQTT\x04\x04\x00\x0a\x00\x01d\x00\x01w\x00\x00"


def test_lengths_are_bytes_and_not_characters():
    assert connect(Dialect("gr\u00fcn"))[12:] == b"\x00\x05gr\xc3\xbcn"
    assert packets.subscribe(BUFFER, 0, "gr\u00fcn/#", 1, 7) == 14 and BUFFER[5] == 7


def test_publish_with_a_long_body_and_duplicate_flag():
    end = packets.publish(BUFFER, 3, b"t/x", b"y" * 200, 0x1234, True)
    assert bytes(BUFFER[3:13]) == b"\x3a\xcf\x01\x00\x03t/x\x12\x34"
    assert bytes(BUFFER[13:end]) == b"y" * 200
    assert packets.publish(BUFFER, 0, b"t", b"", 1, False) == 7 and BUFFER[0] == 0x32


def test_a_head_put_before_a_body_makes_the_same_packet():
    for size in (0, 1, 120, 121, 122, 200):
        for topic in (b"t", b"t/x" * 20):
            for packet_id, dup in ((0, False), (7, True)):
                whole = bytes(BUFFER[: packets.publish(BUFFER, 0, topic, b"y" * size, packet_id, dup)])
                BUFFER[80 : 80 + size] = b"y" * size
                start = packets.publish_around(BUFFER, 80, topic, size, packet_id, dup)
                assert bytes(BUFFER[start : 80 + size]) == whole, (size, topic)
    with raises(packets.NoRoom):
        packets.publish_around(BUFFER, 8, b"t/x", 10, 7, False)


def test_a_packet_may_fill_the_buffer():
    assert packets.publish(BUFFER, 0, b"t", b"y" * (len(BUFFER) - 6), 0, False) == len(BUFFER)
    with raises(packets.NoRoom):
        packets.publish(BUFFER, 0, b"t", b"y" * (len(BUFFER) - 5), 0, False)


def test_small_packets():
    assert bytes(BUFFER[: packets.puback(BUFFER, 0, 258)]) == b"\x40\x02\x01\x02"
    assert bytes(BUFFER[: packets.subscribe(BUFFER, 0, "a/#", 1, 7)]) == b"\x82\x08\x00\x07\x00\x03a/#\x01"
    assert bytes(BUFFER[: packets.empty(BUFFER, 0, packets.PINGREQ)]) == b"\xc0\x00"


def test_what_does_not_fit_is_refused_before_a_byte_is_written():
    before = bytes(BUFFER)
    with raises(packets.NoRoom):
        packets.publish(BUFFER, 300, b"topic", b"z" * 100, 1, False)
    assert bytes(BUFFER) == before


class Handler:
    def __init__(self):
        self.seen = []

    def packet(self, first_byte, body):
        self.seen.append((first_byte, bytes(body)))

    def oversize(self, packet_id, size, topic):
        self.seen.append((packet_id, size, bytes(topic)))


STREAM = (
    b"\x20\x02\x00\x00"
    + b"\xd0\x00"
    + b"\x32\x07\x00\x01a\x00\x09xy"
    + b"\x32\xc8\x01\x00\x02bc\x00\x0a"
    + b"q" * 194
    + b"\x40\x02\x00\x05"
)
PACKETS = [
    (0x20, b"\x00\x00"),
    (0xD0, b""),
    (0x32, b"\x00\x01a\x00\x09xy"),
    (10, 200, b"bc"),
    (0x40, b"\x00\x05"),
]


def test_the_stream_may_be_cut_anywhere():
    for size in (1, 2, 3, 5, 7, 64, 1000):
        inbound, handler = Inbound(100), Handler()
        for start in range(0, len(STREAM), size):
            inbound.feed(memoryview(STREAM)[start : start + size], handler)
        assert handler.seen == PACKETS, size


def test_the_packet_id_of_a_drained_message_is_found_behind_a_topic_of_any_length():
    for topic_bytes in (1, 90, 95, 96, 97, 98, 99, 150, 290):
        body = topic_bytes.to_bytes(2, "big") + b"t" * topic_bytes + b"\x12\x34" + b"p" * (300 - topic_bytes)
        packet = b"\x32" + bytes([len(body) & 0x7F | 0x80, len(body) >> 7]) + body
        for size in (1, 7, 1000):
            inbound, handler = Inbound(100), Handler()
            for start in range(0, len(packet), size):
                inbound.feed(memoryview(packet)[start : start + size], handler)
            topic = b"t" * topic_bytes if topic_bytes <= 98 else b""
            assert handler.seen == [(0x1234, 304, topic)], (topic_bytes, size)


def test_only_a_publish_may_be_too_large():
    for packet in (b"\x90\x80\x02" + b"\x01" * 256, b"\x34\x80\x02" + b"\x00\x01a\x00\x01" + b"p" * 251):
        with raises(ProtocolError):
            Inbound(100).feed(memoryview(packet), Handler())


def test_nothing_is_taken_after_stop_before_reset():
    inbound, handler = Inbound(100), Handler()
    inbound.feed(memoryview(STREAM)[:20], handler)
    inbound.stop()
    inbound.feed(memoryview(STREAM)[20:], handler)
    assert handler.seen == PACKETS[:3]
    inbound.reset()
    inbound.feed(memoryview(STREAM), handler)
    assert handler.seen == PACKETS[:3] + PACKETS


def test_publish_is_taken_apart():
    topic, packet_id, start = publish_parts(0x32, memoryview(b"\x00\x01a\x00\x09xy"))
    assert (bytes(topic), packet_id, start) == (b"a", 9, 5)
    topic, packet_id, start = publish_parts(0x30, memoryview(b"\x00\x01axy"))
    assert (bytes(topic), packet_id, start) == (b"a", 0, 3)


def test_garbage_is_an_error_and_not_a_packet():
    for first_byte, body in (
        (0x32, b"\x00\x09a"),
        (0x32, b"\x00"),
        (0x34, b"\x00\x01a\x00\x01"),
        (0x32, b"\x00\x01a\x00\x00"),
    ):
        with raises(ProtocolError):
            publish_parts(first_byte, memoryview(body))
    with raises(ProtocolError):
        packet_id_of(b"\x01")
    with raises(ProtocolError):
        Inbound(10).feed(memoryview(b"\x30\xff\xff\xff\xff\x01"), Handler())
