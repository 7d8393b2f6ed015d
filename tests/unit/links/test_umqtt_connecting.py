"""The link on its way up: addresses, TLS, CONNACK, and what each trouble is called."""

import errno

from fieldpost.limits import (
    CONNACK_TIMEOUT_MS,
    CONNECT_TIMEOUT_MS,
)
from fieldpost.links import reasons
from support import raises
from umqtt_world import (
    FakeQuestion,
    World,
)


def test_a_connect_that_is_too_long_says_what_would_help():
    with World() as world:
        world.link.open(0, "p" * 6000, world)
        assert world.told == [("name and password need a larger batch.bytes_max", True)]


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
