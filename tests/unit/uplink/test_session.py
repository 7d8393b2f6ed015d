"""The session's table: every state and event, and back-off."""

from fieldpost.errors import ClockUnknown, CommandMalformed
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
from support import LinkWithRoom, NumbersBody

from host_tools.emulator.nor_flash import NorFlash


class Link(LinkWithRoom):
    def __init__(self):
        self.calls = []
        self.events = []

    def open(self, now_ms, password, handler):
        self.calls.append(("open", password))

    def step(self, now_ms, handler):
        for event in self.events:
            getattr(handler, event[0])(*event[1:])
        self.events = []

    def subscribe(self, topic, qos, packet_id):
        self.calls.append(("subscribe", topic, qos))

    def puback(self, packet_id):
        self.calls.append(("puback", packet_id))

    def close(self):
        self.calls.append(("close",))

    def disconnect(self):
        self.calls.append(("disconnect",))

    def take(self):
        calls, self.calls = self.calls, []
        return calls


class FakeOutbox:
    def __init__(self):
        self.calls = []
        self.packet_id = 0
        self.in_flight = 0
        self.is_overdue = False

    def new_packet_id(self):
        self.packet_id += 1
        return self.packet_id

    def disconnected(self, now_ms, is_objection):
        self.calls.append("disconnected")
        self.was_objection = is_objection

    def acknowledged(self, packet_id):
        self.calls.append(packet_id)

    def step(self, now_ms, link):
        pass

    def forget(self, now_ms):
        pass

    def overdue(self, now_ms, timeout_ms):
        assert timeout_ms == PUBACK_TIMEOUT_MS
        return self.is_overdue


class Dialect:
    password_ms = None
    subscriptions = (("commands/#", 1), ("methods/#", 0))
    has_clock = True

    def password(self):
        if not self.has_clock:
            raise ClockUnknown("no clock")
        return "secret"

    def parse(self, topic, payload):
        if topic == b"bad":
            raise CommandMalformed("c9", "no JSON")
        return None if topic == b"other" else ("c1", "ping", {}, None, None)

    def command_id(self, topic):
        return "c9"


class Commands:
    def __init__(self):
        self.submitted = []

    def submit(self, *command):
        self.submitted.append(command)
        return True

    def refuse(self, *refusal):
        self.submitted.append(refusal)
        return True

    def has_room(self):
        return True

    def is_idle(self):
        return True


class World:
    def __init__(self):
        self.link, self.outbox, self.dialect, self.commands = Link(), FakeOutbox(), Dialect(), Commands()
        self.waits = []

        def longest(limit):
            self.waits.append(limit)
            return limit - 1

        self.session = Session(self.link, self.outbox, self.dialect, self.commands, Backoff(longest))

    def event(self, now_ms, *event):
        self.link.events.append(event)
        self.session.step(now_ms)

    def ready(self, now_ms=0):
        self.session.step(now_ms)
        self.event(now_ms, "link_connected")
        self.event(now_ms, "link_suback", 1)
        self.event(now_ms, "link_suback", 0)
        assert self.session.state == READY
        self.link.take()
        return self


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


def test_a_command_is_acknowledged_when_it_is_done_and_only_on_its_own_connection():
    world = World().ready()
    world.event(1, "link_message", b"commands", b"{}", 9)
    command_id, name, arguments, expires_ms, token, proof = world.commands.submitted[0]
    assert (command_id, name, arguments, expires_ms, proof) == ("c1", "ping", {}, None, None)
    world.session.command_done(token)
    assert world.link.take() == [("puback", 9)]
    world.event(2, "link_closed", "lost")
    world.session.command_done(token)
    world.ready(10**6)
    world.session.command_done(token)
    assert world.link.take() == [], "a packet id of an old connection means nothing in a new one"


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


def test_what_wants_no_acknowledgement_gets_none():
    """Goal: packet id 0 stands for QoS 0; a PUBACK of it would break the protocol (section 2.3.1)."""
    world = World().ready()
    world.event(1, "link_message", b"commands", b"{}", 0)
    world.session.command_done(world.commands.submitted[0][4])
    world.event(1, "link_message", b"other", b"", 0)
    world.event(1, "link_refused", 0, 70_000, b"")
    assert world.link.take() == []


def test_what_is_no_command_is_refused_and_what_is_foreign_is_acknowledged_and_passed_over():
    world = World().ready()
    world.event(1, "link_message", b"bad", b"", 3)
    assert world.commands.submitted[0][:2] == ("c9", "no JSON")
    world.event(1, "link_message", b"other", b"", 4)
    assert len(world.commands.submitted) == 1
    assert world.link.take() == [("puback", 4)], "left alone it would come again for ever"
    for packet_id, topic, expected in ((5, b"", ""), (6, b"commands", "c9"), (7, b"\xff", "")):
        world.event(1, "link_refused", packet_id, 70_000, topic)
        command_id, reason, token = world.commands.submitted[-1]
        assert (command_id, reason) == (expected, "a message of 70000 bytes is too long for this device")
        world.session.command_done(token)
        assert world.link.take() == [("puback", packet_id)]


def test_commands_that_found_no_room_are_delivered_again_once_the_others_are_done():
    world = World().ready()
    world.commands.submit = lambda *command: False
    world.commands.is_idle = lambda: False
    world.event(1, "link_message", b"commands", b"{}", 3)
    world.session.step(2)
    assert world.session.state == READY
    world.commands.is_idle = lambda: True
    world.link.take()
    world.session.step(3)
    assert (world.session.state, world.link.take()) == (DOWN, [("close",)])


def test_a_command_that_there_is_no_memory_to_read_comes_again_and_none_overtakes_it():
    world = World().ready()
    world.commands.is_idle = lambda: False
    parse = world.dialect.parse

    def no_memory(topic, payload):
        raise MemoryError

    world.dialect.parse = no_memory
    world.link.take()
    world.event(1, "link_message", b"commands", b"{}", 3)
    world.dialect.parse = parse
    world.event(2, "link_message", b"commands", b"{}", 4)
    assert world.commands.submitted == [] and world.link.take() == []
    world.commands.is_idle = lambda: True
    world.session.step(3)
    assert (world.session.state, world.link.take()) == (DOWN, [("close",)])


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


class Channel:
    """Takes what begins with "$"; finished commands come back to it."""

    subscriptions = (("$mine/#", 0),)

    def __init__(self):
        self.calls = []

    def ready(self, now_ms):
        self.calls.append("ready")

    def closed(self):
        self.calls.append("closed")

    def take(self, topic, payload):
        if not topic.startswith("$"):
            return False
        self.calls.append(bytes(payload))
        return True

    def take_long(self, topic, size):
        if topic.startswith("$"):
            self.calls.append(size)
        return topic.startswith("$")

    def step(self, now_ms, link):
        self.calls.append("step")

    def finished(self, what, status, answer):
        self.calls.append((what, status, answer))


def test_a_channel_has_subscriptions_messages_and_answers_of_its_own():
    world, channel = World(), Channel()
    world.session = Session(
        world.link, world.outbox, world.dialect, world.commands, Backoff(lambda limit: 0), (channel,)
    )
    world.session.step(0)
    world.event(0, "link_connected")
    assert [call[1] for call in world.link.take() if call[0] == "subscribe"] == ["commands/#", "methods/#", "$mine/#"]
    for qos in (1, 0):
        world.event(0, "link_suback", qos)
        assert world.session.state == SUBSCRIBING and channel.calls == []
    world.event(0, "link_suback", 0)
    assert world.session.state == READY and channel.calls == ["ready", "step"]
    world.event(1, "link_message", b"$mine/1", b"hello", 0)
    world.event(1, "link_message", b"commands", b"{}", 9)
    assert b"hello" in channel.calls and len(world.commands.submitted) == 1
    world.event(1, "link_refused", 0, 70_000, b"$mine/7")
    assert 70_000 in channel.calls and len(world.commands.submitted) == 1
    world.session.command_done((channel, "call 7"), "done", b"{}")
    assert channel.calls[-1] == ("call 7", "done", b"{}")
    world.event(2, "link_message", b"\xff\xfe", b"", 4)
    world.event(3, "link_closed", "lost")
    assert channel.calls[-1] == "closed"


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
