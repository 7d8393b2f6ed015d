"""The link without a network: what it sends, in which order, and what it reads."""

from fieldpost.limits import (
    BATCH_BYTES_MAX,
    EVENT_TOPIC_BYTES_MAX,
    INBOUND_BYTES_MAX,
    READ_CHUNK_BYTES,
)
from fieldpost.links import packets
from umqtt_world import PUBACK_7, FakePoll, World, publish_in_a_row, publish_large


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


def test_a_message_too_large_for_the_buffer_is_told_with_its_packet_id():
    topic = b"t" * (INBOUND_BYTES_MAX + 100)
    body = len(topic).to_bytes(2, "big") + topic + b"\x01\x02" + b"x" * 50
    with World() as world:
        world.open()
        world.receive(b"\x32" + bytes([len(body) & 0x7F | 0x80, len(body) >> 7]) + body + PUBACK_7)
        for _ in range(len(body) // READ_CHUNK_BYTES):
            world.link.step(0, world)
        assert world.told == [("refused", 0x0102, len(body)), ("puback", 7)]
