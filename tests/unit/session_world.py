"""What lies around the session in its tests: a link, an outbox, a dialect and commands that take notes."""

from fieldpost.errors import ClockUnknown, CommandMalformed
from fieldpost.limits import (
    PUBACK_TIMEOUT_MS,
)
from fieldpost.uplink.backoff import Backoff
from fieldpost.uplink.session import READY, Session
from support import LinkWithRoom


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
