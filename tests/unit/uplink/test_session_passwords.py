"""Passwords in the session: made when there is memory for it, renewed without losing or repeating a message."""

from fieldpost.limits import (
    BACKOFF_FIRST_MS,
)
from fieldpost.ring.log import Ring
from fieldpost.uplink.backoff import Backoff
from fieldpost.uplink.lane import Lane
from fieldpost.uplink.outbox import Outbox
from fieldpost.uplink.session import CONNECTING, DOWN, READY, Session
from session_world import Dialect, Link, World
from support import NumbersBody

from host_tools.emulator.nor_flash import NorFlash


def test_a_password_that_there_is_no_memory_to_make_is_made_later():
    world = World()
    password = world.dialect.password

    def no_memory():
        raise MemoryError

    world.dialect.password = no_memory
    world.session.step(0)
    assert (world.session.state, world.session.last_error) == (DOWN, "there is no memory to sign in")
    world.dialect.password = password
    world.session.step(1)
    assert world.link.take() == []
    world.session.step(BACKOFF_FIRST_MS)
    assert world.link.take() == [("open", "secret")]


def test_a_password_is_renewed_in_a_quiet_moment_and_at_last_in_any():
    for in_flight, age_ms in ((0, 51_000), (3, 57_000)):
        world = World()
        world.dialect.password_ms = 60_000
        world.ready()
        world.outbox.in_flight = in_flight
        world.session.step(age_ms - 1)
        assert world.session.state == READY and world.link.take() == []
        world.session.step(age_ms)
        assert world.session.state == DOWN and world.link.take() == [("disconnect",)]
        assert world.outbox.calls[-1] == "disconnected" and world.session.last_error == ""
        world.session.step(age_ms)
        assert world.session.state == CONNECTING and world.link.take() == [("open", "secret")]


def test_an_hour_of_renewals_loses_and_repeats_nothing():
    """Goal: a token that is good for a minute costs no record and no repeat. Method: sixty and more connections."""

    class PromptLink(Link):
        def publish(self, topic, payload, packet_id, dup):
            assert not dup
            for part in bytes(payload).split(b'"n":')[1:]:
                self.numbers += 1
                assert int(part.split(b"}")[0]) == self.numbers
            self.events.append(("link_puback", packet_id))
            return True

    class EventDialect(Dialect):
        password_ms = 60_000

        def event_topic(self, message_id):
            return message_id

    ring = Ring(NorFlash(4 * 1024, sector_bytes=1024))
    world = World()
    link = world.link = PromptLink()
    link.numbers = 0
    lane = Lane(ring, NumbersBody(ring), 4, 5, 600, 500)
    outbox = Outbox([lane], EventDialect())
    session = world.session = Session(link, outbox, EventDialect(), world.commands, Backoff(lambda limit: 0))
    connections = 0
    for now_ms in range(0, 3_600_000, 500):
        if now_ms % 1000 == 0:
            ring.append(1, b"reading")
        session.step(now_ms)
        opened = [call for call in link.take() if call[0] == "open"]
        if opened:
            connections += 1
            world.event(now_ms, "link_connected")
            world.event(now_ms, "link_suback", 1)
            world.event(now_ms, "link_suback", 0)
    session.step(3_600_000)
    session.step(3_600_500)
    assert connections >= 60 and outbox.duplicates_sent == 0
    assert link.numbers == 3600
