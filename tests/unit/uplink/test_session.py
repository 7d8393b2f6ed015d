"""The session's table: every state and event, and back-off."""

from fieldpost.limits import (
    BACKOFF_CEILING_MS,
    BACKOFF_FIRST_MS,
    BACKOFF_FIRST_TIMES,
    CLOCK_WAIT_MS,
    PUBACK_TIMEOUT_MS,
    SESSION_STABLE_MS,
    SUBACK_TIMEOUT_MS,
)
from fieldpost.ring.log import Ring
from fieldpost.uplink.backoff import Backoff
from fieldpost.uplink.lane import Lane
from fieldpost.uplink.outbox import Outbox
from fieldpost.uplink.session import CONNECTING, DOWN, READY, SUBSCRIBING, Session
from session_world import Dialect, Link, World
from support import NumbersBody

from host_tools.emulator.nor_flash import NorFlash


def test_the_way_up():
    world = World()
    session = world.session
    assert session.state == DOWN
    session.step(0)
    assert session.state == CONNECTING and world.link.take() == [("open", "secret")]
    world.event(1, "link_connected")
    assert session.state == SUBSCRIBING
    assert world.link.take() == [("subscribe", "commands/#", 1), ("subscribe", "methods/#", 0)]
    world.event(2, "link_suback", 1)
    assert session.state == SUBSCRIBING
    world.event(3, "link_suback", 0)
    assert session.state == READY


def test_every_state_falls_to_down_when_the_link_closes():
    for steps in range(4):
        world = World()
        world.session.step(0)
        for event in (("link_connected",), ("link_suback", 1), ("link_suback", 1))[:steps]:
            world.event(0, *event)
        world.event(0, "link_closed", "lost")
        assert (world.session.state, world.session.last_error) == (DOWN, "lost"), steps
        assert world.outbox.calls[-1] == "disconnected"
        world.session.step(BACKOFF_FIRST_MS - 2)
        assert world.session.state == DOWN, "too early"
        world.session.step(BACKOFF_FIRST_MS - 1)
        assert world.session.state == CONNECTING


def test_without_a_clock_it_waits_and_says_why():
    world = World()
    world.dialect.has_clock = False
    world.session.step(0)
    assert world.session.state == DOWN and "time of day" in world.session.last_error
    world.dialect.has_clock = True
    world.session.step(CLOCK_WAIT_MS)
    assert world.session.state == CONNECTING


def test_back_off_doubles_to_its_ceiling_and_is_reset_by_a_stable_connection_only():
    world = World()
    now_ms = 0
    for _ in range(9):
        world.ready(now_ms)
        world.event(now_ms + SESSION_STABLE_MS - 1, "link_closed", "lost")
        now_ms += SESSION_STABLE_MS + BACKOFF_CEILING_MS
    assert world.waits == [
        min(BACKOFF_FIRST_MS * 2 ** max(i + 1 - BACKOFF_FIRST_TIMES, 0), BACKOFF_CEILING_MS) for i in range(9)
    ]
    world.ready(now_ms)
    world.session.step(now_ms + SESSION_STABLE_MS)
    world.event(now_ms + SESSION_STABLE_MS, "link_closed", "lost")
    assert world.waits[-1] == BACKOFF_FIRST_MS


def test_a_refusal_is_not_asked_again_in_haste():
    world = World()
    world.session.step(0)
    world.event(0, "link_closed", "refused: not authorised (5)", True)
    assert world.waits == [BACKOFF_CEILING_MS]


def test_a_refused_subscription_ends_the_connection():
    world = World()
    world.session.step(0)
    world.event(0, "link_connected")
    world.link.take()
    world.event(0, "link_suback", 0x80)
    assert world.session.state == DOWN and world.link.take() == [("close",)]


def test_a_hub_that_does_not_acknowledge_is_left():
    world = World().ready()
    world.outbox.is_overdue = True
    world.session.step(1)
    assert world.session.state == DOWN and world.link.take() == [("close",)]


def test_an_outage_longer_than_the_deadline_ends_with_the_first_connection():
    """Goal: batches in flight before the outage are not held against the hub that comes back after it."""

    class SlowLink(Link):
        room = 0

        def publish(self, topic, payload, packet_id, dup):
            if not self.room:
                return False
            self.room -= 1
            self.events.append(("link_puback", packet_id))
            return True

    class EventDialect(Dialect):
        def event_topic(self, message_id):
            return message_id

    ring = Ring(NorFlash(4 * 4096))
    for _ in range(20):
        ring.append(1, b"x")
    world = World()
    link = world.link = SlowLink()
    lane = Lane(ring, NumbersBody(ring), 4, 5, 600, 500)
    outbox = Outbox([lane], EventDialect())
    session = world.session = Session(link, outbox, EventDialect(), world.commands, Backoff(lambda limit: 0))
    world.ready()
    link.room = 4
    session.step(0)
    link.events = []
    world.event(1, "link_closed", "lost")
    now_ms = PUBACK_TIMEOUT_MS + 10_000
    world.ready(now_ms)
    for _ in range(30):
        link.room = 1
        session.step(now_ms)
        now_ms += 100
    assert session.state == READY and link.take() == []
    assert ring.pending == 0


def test_another_time_of_day_has_certificates_judged_again():
    world = World().ready()
    world.dialect.is_judged = False  # there are none
    world.session.judge_again()
    assert world.session.state == READY and world.link.take() == []
    world.dialect.is_judged = True
    world.session.judge_again()
    assert world.session.state == DOWN and world.link.take() == [("disconnect",)]
    world.session.judge_again()
    assert world.link.take() == []
    world.session.step(1)
    assert world.session.state == CONNECTING


def test_pubacks_reach_the_outbox():
    world = World().ready()
    world.event(1, "link_puback", 77)
    assert world.outbox.calls[-1] == 77


def test_a_hub_that_does_not_answer_to_subscribe_is_left():
    world = World()
    world.session.step(0)
    world.event(5, "link_connected")
    world.session.step(5 + SUBACK_TIMEOUT_MS)
    assert world.session.state == SUBSCRIBING
    world.link.take()
    world.session.step(6 + SUBACK_TIMEOUT_MS)
    assert world.session.state == DOWN and world.link.take() == [("close",)]
    assert world.session.last_error == "no answer to SUBSCRIBE within 20 s"


def test_only_a_connection_that_was_ready_and_did_not_end_by_our_will_may_have_been_objected_to():
    world = World()
    world.session.step(0)
    world.event(0, "link_closed", "refused: server unavailable (3)")
    assert world.outbox.was_objection is False
    world.ready(BACKOFF_FIRST_MS)
    world.event(BACKOFF_FIRST_MS, "link_closed", "connection lost")
    assert world.outbox.was_objection is True
    world.dialect.password_ms = 60_000
    world.ready(10_000)
    world.session.step(10_000 + 60_000)
    assert world.session.state == DOWN and world.outbox.was_objection is False
