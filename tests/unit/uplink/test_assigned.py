"""A session that asks a service for its hub: when it asks, whom it turns to afterwards, what leaves meanwhile."""

from fieldpost.limits import BACKOFF_CEILING_MS, DPS_FAILURES_MAX, DPS_REFUSALS_MAX
from fieldpost.uplink.assigned import REGISTERING, AssignedSession
from fieldpost.uplink.backoff import Backoff
from fieldpost.uplink.session import CONNECTING, DOWN, READY


class Dialect:
    """A dialect that was assigned `known`, and will be assigned `next_hub` once it is asked."""

    password_ms = None
    subscriptions = (("answers", 1),)

    def __init__(self, known=None):
        self.known = known
        self.next_hub = None
        self.error = ""
        self.is_refused = False
        self.is_applying = known is None
        self.begun = 0
        self.heard = []

    @property
    def server(self):
        return ("service", 1) if self.is_applying else (self.known, 2)

    def password(self):
        return "p"

    def apply(self):
        self.is_applying = True

    def use_known(self):
        self.is_applying = self.known is None
        return not self.is_applying

    def begin(self, now_ms):
        self.begun += 1
        self.error = ""

    def step(self, now_ms, link):
        if self.next_hub is not None:
            self.known, self.next_hub = self.next_hub, None
            self.is_applying = False
        return bool(self.error) or not self.is_applying

    def answer(self, topic, payload, now_ms):
        self.heard.append(bytes(topic))


class Channel:
    subscriptions = (("methods", 0),)

    def __init__(self):
        self.was_ready = 0

    def ready(self, now_ms):
        self.was_ready += 1

    def closed(self):
        pass

    def step(self, now_ms, link):
        pass


class Link:
    def __init__(self):
        self.events = []
        self.led_to = []
        self.subscribed = []
        self.acknowledged = []
        self.opened = 0

    def point(self, host, port):
        self.led_to.append(host)

    def open(self, now_ms, password, handler):
        self.opened += 1

    def step(self, now_ms, handler):
        events, self.events = self.events, []
        for event in events:
            getattr(handler, event[0])(*event[1:])

    def subscribe(self, topic, qos, packet_id):
        self.subscribed.append(topic)

    def puback(self, packet_id):
        self.acknowledged.append(packet_id)

    def close(self):
        pass


class Outbox:
    in_flight = 0

    def __init__(self):
        self.steps = 0

    def new_packet_id(self):
        return 1

    def disconnected(self, now_ms, is_objection):
        pass

    def step(self, now_ms, link):
        self.steps += 1

    def forget(self, now_ms):
        pass

    def overdue(self, now_ms, timeout_ms):
        return False


class Commands:
    def is_idle(self):
        return True

    def has_room(self):
        return True


class World:
    def __init__(self, known=None):
        self.dialect = Dialect(known)
        self.link = Link()
        self.outbox = Outbox()
        self.channel = Channel()
        backoff = Backoff(lambda limit: 0)
        self.session = AssignedSession(self.link, self.outbox, self.dialect, Commands(), backoff, (self.channel,))
        self.now_ms = 0

    def event(self, *event):
        self.link.events.append(event)
        self.step()

    def step(self):
        self.now_ms += BACKOFF_CEILING_MS if self.session.state == DOWN else 1  # any back-off is over
        self.session.step(self.now_ms)

    def connect(self):
        self.step()
        assert self.session.state == CONNECTING
        subscribed = len(self.link.subscribed)
        self.event("link_connected")
        for _ in range(len(self.link.subscribed) - subscribed):
            self.event("link_suback", 1)

    def fail(self, is_refusal=False):
        self.step()
        self.event("link_closed", "no", is_refusal)


def test_a_new_device_asks_and_then_serves_the_hub_it_was_given():
    world = World()
    world.connect()
    assert world.session.state == REGISTERING and world.dialect.begun == 1
    assert world.link.subscribed == ["answers"] and world.channel.was_ready == 0
    world.event("link_message", memoryview(b"answer"), memoryview(b""), 5)
    assert world.dialect.heard == [b"answer"] and world.link.acknowledged == [5]
    assert world.outbox.steps == 0, "no reading goes to the service"
    world.dialect.next_hub = "hub-1"
    world.step()
    assert world.session.state == DOWN and world.link.led_to == ["hub-1"]
    world.connect()
    assert world.session.state == READY and world.channel.was_ready == 1
    assert world.link.subscribed == ["answers", "answers", "methods"]
    world.step()
    assert world.outbox.steps > 0


def test_a_refused_registration_backs_off_and_is_told():
    world = World()
    world.connect()
    world.dialect.error, world.dialect.is_refused = "refused: Unauthorized", True
    world.step()
    assert world.session.state == DOWN and world.session.last_error == "refused: Unauthorized"
    world.connect()
    assert world.dialect.begun == 2


def test_a_hub_that_keeps_refusing_is_asked_about():
    world = World("hub-1")
    world.connect()
    assert world.session.state == READY
    world.event("link_closed", "cut")
    for _ in range(DPS_REFUSALS_MAX - 1):
        world.fail(True)
    assert not world.dialect.is_applying
    world.fail(True)
    assert world.dialect.is_applying and world.link.led_to == ["service"]
    world.connect()
    world.dialect.next_hub = "hub-2"
    world.step()
    assert world.link.led_to == ["service", "hub-2"]


def test_a_hub_that_cannot_be_found_is_asked_about_and_is_not_forgotten():
    world = World("hub-1")
    for _ in range(DPS_FAILURES_MAX - 1):
        world.fail()
    assert not world.dialect.is_applying
    world.fail()
    assert world.dialect.is_applying
    # The service cannot be reached either: the hub may be back by now.
    world.fail()
    assert not world.dialect.is_applying and world.link.led_to == ["service", "hub-1"]
    world.connect()
    assert world.session.state == READY


def test_cuts_of_a_connection_that_was_ready_count_for_nothing():
    world = World("hub-1")
    for _ in range(2 * DPS_FAILURES_MAX):
        world.connect()
        world.event("link_closed", "cut")
    assert not world.dialect.is_applying
