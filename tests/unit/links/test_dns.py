"""Questions to a name server: what is asked, what is believed, and how long that is waited for."""

from fieldpost.limits import DNS_WAIT_MS_MAX
from fieldpost.links.dns import Question
from support import raises
from udp_world import World

SERVER = "192.0.2.53", 53


def answer(query, records=(), code=0, number=None):
    head = bytes((0x81, 0x80 | code, 0, 1, 0, len(records), 0, 0, 0, 0))
    return (number or query[:2]) + head + query[12:] + b"".join(records)


def record(kind, data, name=b"\xc0\x0c", group=1):
    return name + bytes((0, kind, 0, group, 0, 0, 0, 60, 0, len(data))) + data


A = record(1, b"\xc0\x00\x02\x07")


def test_one_question_for_an_address():
    with World() as world:
        question = Question("hub.example", 8883, SERVER)
        assert question.answer() is None
        query, address = world.socket.sent[0]
        assert query[2:] == b"\1\0\0\1\0\0\0\0\0\0\3hub\7example\0\0\1\0\1" and address == SERVER
        world.socket.answers = [lambda query: answer(query, [A])]
        assert question.answer() == [(2, 1, 0, "", ("192.0.2.7", 8883))]
        assert world.socket.is_closed and len(world.socket.sent) == 1


def test_aliases_are_passed_over_and_every_address_is_taken():
    alias = record(5, b"\3two\xc0\x10")  # CNAME, as hubs of Azure have several
    named = record(1, b"\x0a\0\0\1", name=b"\3two\7example\0")
    with World() as world:
        question = Question("hub.example", 8883, SERVER)
        world.socket.answers = [lambda query: answer(query, [alias, A, named])]
        assert question.addresses() == ["192.0.2.7", "10.0.0.1"]


def test_neighbours_are_asked_for_their_own_names():
    with World() as world:
        question = Question("hub.local", 8883)
        question.answer()
        assert world.socket.sent[0][1] == ("224.0.0.251", 5353)
        flushing = record(1, b"\x0a\0\0\2", group=0x80)  # RFC 6762 section 10.2: the class's top bit
        flushing = flushing[:4] + b"\x80\x01" + flushing[6:]
        world.socket.answers = [lambda query: answer(query, [flushing])]
        assert question.addresses() == ["10.0.0.2"]


def test_addresses_are_not_asked_for():
    with World() as world:
        for host in ("192.0.2.9", "2001:db8::1"):
            assert Question(host, 1, SERVER).addresses() == [host]
        assert world.socket.sent == []


def test_a_name_that_nobody_knows_is_told():
    with World() as world:
        for code, records in ((3, []), (0, []), (0, [record(28, bytes(16))])):
            question = Question("hub.example", 1, SERVER)
            world.socket.answers = [lambda query, c=code, r=records: answer(query, r, c)]
            with raises(OSError) as raised:
                question.answer()
            assert "nobody knows that name" in raised.message
        for name in ("", "a..b", "x" * 64 + ".example"):
            with raises(OSError) as raised:
                Question(name, 1, SERVER)
            assert "is no host name" in raised.message


def test_what_is_no_answer_to_this_question_is_passed_over():
    with World() as world:
        question = Question("hub.example", 1, SERVER)
        world.socket.answers = [
            lambda query: b"",
            lambda query: answer(query, [A])[:-1],  # cut off
            lambda query: answer(query, [A])[:20],
            lambda query: answer(query, [A], number=bytes((query[0] ^ 1, query[1]))),
            lambda query: query + A,  # no response
            lambda query: answer(query.replace(b"hub", b"hut"), [A]),
            lambda query: answer(query, code=2),  # a server in trouble
            lambda query: answer(query, [b"\x3fx"]),  # a name that does not end
        ]
        for _ in range(len(world.socket.answers)):
            assert question.answer() is None
        world.socket.answers = [lambda query: answer(query, [A])]
        assert question.addresses() == ["192.0.2.7"]


def test_it_is_asked_again_less_and_less_often_and_at_last_given_up():
    with World() as world:
        world.socket.has_route = False
        question = Question("hub.example", 1, SERVER)
        assert question.answer() is None
        world.socket.has_route = True
        sent_ms = []
        with raises(OSError) as raised:
            while True:
                world.now_ms += 100
                before = len(world.socket.sent)
                question.answer()
                if len(world.socket.sent) > before:
                    sent_ms.append(world.now_ms)
        assert sent_ms == [1000, 3000, 7000]
        assert raised.message == "the name server does not answer"
        assert world.socket.is_closed and DNS_WAIT_MS_MAX <= world.now_ms <= DNS_WAIT_MS_MAX + 100
        assert len({query for query, _ in world.socket.sent}) == 1, "an answer to any of them will do"


def test_a_slow_answer_is_taken_to_whichever_question_it_comes():
    with World() as world:
        question = Question("hub.example", 1, SERVER)
        question.answer()
        world.now_ms = 10_000
        world.socket.answers = [lambda query: answer(query, [A])]
        assert question.addresses() == ["192.0.2.7"]
