"""How a connection of the link ends: by the peer, by silence, by our will, and what follows it."""

import errno

from fieldpost.limits import (
    PING_TIMEOUT_MS,
    READ_CHUNK_BYTES,
    WRITE_STALL_MS_MAX,
)
from fieldpost.links import wire
from umqtt_world import (
    CONNACK,
    KEEPALIVE_S,
    PINGRESP,
    PUBACK_7,
    SUBACK,
    World,
    publish_in_a_row,
)


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


def test_a_connection_that_is_gone_is_told_in_the_same_words_whoever_notices():
    for code in (errno.ECONNRESET, -errno.ECONNRESET, 32, -32, -29312):
        with World() as world:
            world.open()
            world.stream.error = OSError(code)
            world.link.step(0, world)
            assert world.told == [("connection lost", False)], code


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
