"""Commands and channels in the session: what is acknowledged when, refused, and delivered again."""

from fieldpost.uplink.backoff import Backoff
from fieldpost.uplink.session import DOWN, READY, SUBSCRIBING, Session
from session_world import World


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
