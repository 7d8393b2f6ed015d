"""A question to a time server: what is asked, what is believed, and how long that is waited for."""

from fieldpost.limits import NTP_WAIT_MS
from fieldpost.ports import time_server
from fieldpost.ports.time_server import TimeQuestion
from support import raises
from udp_world import World

SERVER = "192.0.2.123"
# 2026-11-28T11:00:00.5Z as RFC 5905 has it: seconds since 1900, and a fraction.
STAMP = (1_795_863_600 + 2_208_988_800).to_bytes(4, "big") + b"\x80\0\0\0"
UTC_MS = 1_795_863_600_500


def answer(query, stamp=STAMP, first=0x24, stratum=2, origin=None):
    return bytes((first, stratum)) + bytes(22) + (origin or query[40:48]) + bytes(8) + stamp


def asked(world):
    question = TimeQuestion(SERVER)
    assert question.answer_ms() is None
    return question


def test_one_packet_is_asked_and_the_answer_is_taken_for_half_a_round_trip_old():
    with World(time_server) as world:
        question = asked(world)
        query, address = world.socket.sent[0]
        assert address == (SERVER, 123) and len(query) == 48 and query[:40] == b"\x23" + bytes(39)
        world.now_ms = 30
        assert question.answer_ms() is None
        world.now_ms = 80
        world.socket.answers = [answer]
        assert question.answer_ms() == UTC_MS + 40
        assert world.socket.is_closed and len(world.socket.sent) == 1


def test_the_stamp_that_comes_back_is_another_each_time():
    with World(time_server) as world:
        for _ in range(3):
            asked(world)
        assert len({query[40:] for query, _ in world.socket.sent}) == 3


def test_what_answers_another_question_is_passed_over():
    with World(time_server) as world:
        question = asked(world)
        world.socket.answers = [
            lambda query: answer(query, origin=b"12345678"),
            lambda query: answer(query)[:47],
            lambda query: b"",
            lambda query: answer(query, first=0x23),  # another client
        ]
        for _ in range(4):
            assert question.answer_ms() is None
        world.socket.answers = [answer]
        assert question.answer_ms() == UTC_MS


def test_a_server_that_does_not_know_or_will_not_say_is_told():
    for wrong in ({"first": 0xE4}, {"stratum": 0}, {"stratum": 16}):
        with World(time_server) as world:
            question = asked(world)
            world.socket.answers = [lambda query, wrong=wrong: answer(query, **wrong)]
            with raises(OSError):
                question.answer_ms()
            assert world.socket.is_closed


def test_silence_has_an_end():
    with World(time_server) as world:
        question = asked(world)
        world.now_ms = NTP_WAIT_MS - 1
        assert question.answer_ms() is None
        world.now_ms = NTP_WAIT_MS
        with raises(OSError):
            question.answer_ms()
        assert world.socket.is_closed


def test_without_a_route_it_ends_at_once():
    with World(time_server) as world:
        world.socket.has_route = False
        with raises(OSError):
            TimeQuestion(SERVER).answer_ms()
        assert world.socket.is_closed


def test_the_era_that_begins_in_2036():
    with World(time_server) as world:
        question = asked(world)
        world.socket.answers = [lambda query: answer(query, stamp=b"\0\0\0\1" + bytes(4))]
        assert question.answer_ms() == ((1 << 32) + 1 - 2_208_988_800) * 1000
