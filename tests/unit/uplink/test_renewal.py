"""Tokens that expire, on a simulated clock: renewed each minute for an hour, expired while the board slept, no clock.

Goal: a renewal costs no record and repeats none, and leaves nothing behind in the heap. Method: the real session,
outbox, ring and dialect; the hub is a list that refuses a token whose time is over, and the real link's place is
taken by one that hands over at once and acknowledges a quarter of a second later.
"""

import gc
import json
from array import array

from fieldpost.clock import Clock
from fieldpost.compat import is_micropython
from fieldpost.hubs.azure import AzureDialect
from fieldpost.limits import BACKOFF_CEILING_MS, SAS_TTL_S
from fieldpost.ring.log import Ring
from fieldpost.uplink.backoff import Backoff
from fieldpost.uplink.lane import Lane
from fieldpost.uplink.outbox import Outbox
from fieldpost.uplink.session import DOWN, READY, Session
from support import LinkWithRoom, NumbersBody, tell_time

from host_tools.emulator.nor_flash import NorFlash

NOW = 1_795_443_852_000
KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
LIFE_MS = 60_000
PUBACK_MS = 250
HEAP_SLACK_BYTES = 256  # one interned name or a grown list, not one renewal's worth


class Hub:
    """What arrived: how often each number came. It takes a token for as long as that says, and LIFE_MS at the most."""

    def __init__(self):
        self.skew_ms = 0
        self.counts = bytearray(8192)
        self.connections = 0
        self.refused = 0
        self.expired = 0  # publishes on a connection whose token had ended


class Link(LinkWithRoom):
    """A connection that needs no time to be made."""

    def __init__(self, hub, clock, life_ms):
        self._hub = hub
        self._clock = clock
        self._life_ms = life_ms
        self._ends_ms = 0
        self._event = None
        self._acks = []

    def open(self, now_ms, password, handler):
        self._acks.clear()
        signed_until_ms = int(password.split("se=")[1]) * 1000
        true_ms = NOW + self._clock.uptime_ms + self._hub.skew_ms
        self._ends_ms = min(signed_until_ms, true_ms + self._life_ms)
        if signed_until_ms <= true_ms:
            self._hub.refused += 1
            self._event = "refused"
        else:
            self._hub.connections += 1
            self._event = "connected"

    def step(self, now_ms, handler):
        event, self._event = self._event, None
        if event == "refused":
            handler.link_closed("refused: not authorised (5)", True)
        elif event == "connected":
            handler.link_connected()
            handler.link_suback(1)
        while self._acks and self._acks[0][0] <= now_ms:
            handler.link_puback(self._acks.pop(0)[1])

    def subscribe(self, topic, qos, packet_id):
        pass

    def publish(self, topic, payload, packet_id, dup):
        hub = self._hub
        hub.expired += NOW + self._clock.uptime_ms + hub.skew_ms >= self._ends_ms
        for record in json.loads(str(bytes(payload), "utf-8"))["records"]:
            hub.counts[record["n"]] += 1
        self._acks.append((self._clock.uptime_ms + PUBACK_MS, packet_id))
        return True

    def close(self):
        self._acks.clear()

    disconnect = close


class Commands:
    def is_idle(self):
        return True

    def has_room(self):
        return True


class World:
    def __init__(self, life_ms=LIFE_MS):
        self.clock = Clock(0)
        self.hub = Hub()
        self.ring = Ring(NorFlash(16 * 4096))
        self.dialect = AzureDialect("hub", "dev1", KEY, self.clock.signing_ms)
        self.dialect.password_ms = life_ms
        self.link = Link(self.hub, self.clock, life_ms)
        lane = Lane(self.ring, NumbersBody(self.ring), 4, 5, 600, 500)
        self.outbox = Outbox([lane], self.dialect)
        self.session = Session(self.link, self.outbox, self.dialect, Commands(), Backoff(lambda limit: limit - 1))

    def run(self, ms, each_minute=None):
        """Let `ms` pass in steps of 100; a reading comes each second. each_minute: called after every minute."""
        end_ms = self.clock.uptime_ms + ms
        while self.clock.uptime_ms < end_ms:
            now_ms = self.clock.advance(self.clock.uptime_ms + 100 & ((1 << 30) - 1))
            if now_ms % 1_000 == 0:
                self.ring.append(1, b"reading")
            self.session.step(now_ms)
            if each_minute is not None and now_ms % LIFE_MS == 0:
                each_minute()


def test_an_hour_of_renewals_each_minute_loses_and_repeats_nothing():
    world = World()
    tell_time(world.clock, NOW)
    trace = array("I", [0] * 60)  # made beforehand: it must not show in itself

    def note():
        if is_micropython:
            gc.collect()
            trace[world.clock.uptime_ms // LIFE_MS - 1] = gc.mem_alloc()

    world.run(3_600_000, note)
    world.run(2_000)
    hub = world.hub
    assert 60 <= hub.connections <= 3_600_000 // (LIFE_MS * 80 // 100), hub.connections
    assert hub.refused == 0 and hub.expired == 0
    arrived = world.ring.next_number - 1
    assert arrived >= 3_600
    counts = [hub.counts[number] for number in range(1, arrived - 2)]
    assert min(counts) == max(counts) == 1, "lost or repeated: %d to %d" % (min(counts), max(counts))
    assert world.outbox.duplicates_sent == 0
    if is_micropython:
        print("heap after each minute's renewal, bytes:", trace[0], trace[1], "...", trace[30], "...", trace[59])
        assert max(trace) - trace[1] <= HEAP_SLACK_BYTES, trace


def test_a_token_that_expired_while_the_board_slept_is_made_anew():
    world = World(SAS_TTL_S * 1000)
    tell_time(world.clock, NOW)
    world.run(5_000)
    assert world.session.state == READY
    # Asleep for longer than the token lives: the hub has closed the connection, the clock has gone on.
    for _ in range(3):
        world.clock.advance(world.clock.uptime_ms + SAS_TTL_S * 500 & ((1 << 30) - 1))
    world.session.link_closed("connection lost")
    world.run(10_000)
    assert world.session.state == READY and world.hub.refused == 0 and world.hub.connections == 2
    assert world.hub.expired == 0


def test_a_hub_whose_clock_is_ahead_refuses_until_the_time_is_put_right():
    world = World(SAS_TTL_S * 1000)
    tell_time(world.clock, NOW)
    world.hub.skew_ms = 2 * SAS_TTL_S * 1000
    world.run(3 * BACKOFF_CEILING_MS)
    assert world.session.state == DOWN and 2 <= world.hub.refused <= 4, "not in haste"
    assert world.session.last_error == "refused: not authorised (5)"
    tell_time(world.clock, NOW + world.clock.uptime_ms + world.hub.skew_ms)
    world.run(2 * BACKOFF_CEILING_MS)
    assert world.session.state == READY
    world.run(2_000)
    assert max(world.hub.counts) == 1 and world.ring.pending < 5


def test_without_a_clock_readings_wait():
    world = World()
    world.run(20_000)
    assert world.session.state == DOWN and world.hub.connections == 0
    assert world.session.last_error == "the time of day is not known yet"
    tell_time(world.clock, NOW + world.clock.uptime_ms)
    world.run(5_000)
    assert world.session.state == READY and world.hub.counts[1] == 1
