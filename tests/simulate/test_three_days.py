"""Three days offline at a reading a second, then the link returns (the case of azure-iot-sdk-c issue 1626).

Everything arrives, once or again under the same number, in order, at the pace that an S1 hub allows, while live
readings keep flowing. The agent's own recorder, ring, outbox, pace and session on a simulated clock; the hub's
throttle is the local hub's, its books are the audit's.
"""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
from fieldpost.clock import Clock
from fieldpost.hubs.azure import AzureDialect
from fieldpost.records.json_body import JsonBody
from fieldpost.records.reading_schema import ReadingSchema
from fieldpost.records.recorder import Recorder
from fieldpost.records.schemas import Schemas
from fieldpost.records.timeline import Timeline
from fieldpost.ring.log import Ring
from fieldpost.uplink.ahead import LiveFirstLane
from fieldpost.uplink.backoff import Backoff
from fieldpost.uplink.lane import Lane
from fieldpost.uplink.outbox import Outbox
from fieldpost.uplink.pace import Pace
from fieldpost.uplink.session import Session

from host_tools.audit import claims
from host_tools.audit.ledger import Ledger
from host_tools.hub.throttle import Kind, Throttle, Throttled

THREE_DAYS_S = 3 * 24 * 3600
SIX_HOURS_S = 6 * 3600
STEP_MS = 20
LATENCY_MS = 25  # one way
SECTORS = 2048
UTC_MS = 1_795_447_452_123
OUT_MESSAGES = 1  # one of 4 KB is what the link's buffer holds


class Memory:
    """A region in RAM that does what it is told at once."""

    sector_bytes, page_bytes, unit_bytes = 4096, 256, 4
    is_cached, group_records = True, 1

    def __init__(self, sectors):
        self.sector_count = sectors
        self._bytes = bytearray(b"\xff") * (sectors * 4096)

    def read(self, offset, buffer):
        buffer[:] = self._bytes[offset : offset + len(buffer)]

    def program(self, offset, data):
        self._bytes[offset : offset + len(data)] = data

    def erase(self, sector):
        self._bytes[sector * 4096 : (sector + 1) * 4096] = b"\xff" * 4096

    def sync(self):
        pass


class World:
    """Time, an S1 hub, and the way to it."""

    def __init__(self):
        self.now_ms = 0
        self.throttle = Throttle("S1", lambda: self.now_ms / 1000)
        self.arrived = []  # (ms, body)
        self.closed = 0
        self._device = []  # (due ms, event) for the device's handler
        self._hub = []  # (due ms, body, packet id)
        self._is_open = False
        self._room = OUT_MESSAGES
        self._body = memoryview(bytearray(4000))

    def open(self, now_ms, password, handler):
        self._is_open = True
        self._hub = []
        self._device = [(now_ms + 4 * LATENCY_MS, ("link_connected",))]
        if not self.throttle.allows(Kind.CONNECTIONS):
            self._device = [(now_ms + 2 * LATENCY_MS, ("link_closed", "connection lost"))]

    def close(self):
        self._is_open = False

    def subscribe(self, topic, qos, packet_id):
        self._device.append((self.now_ms + 2 * LATENCY_MS, ("link_suback", qos)))

    def body(self):
        return self._body if self._is_open and self._room else None

    def publish_body(self, topic, payload, packet_id, dup):
        self._room -= 1
        self._hub.append((self.now_ms + LATENCY_MS, bytes(payload), packet_id))
        return True

    def step(self, now_ms, handler):
        self._room = 4  # what a socket takes between two steps
        while self._hub and self._hub[0][0] <= now_ms:
            due_ms, body, packet_id = self._hub.pop(0)
            try:
                self.throttle.take(Kind.DEVICE_MESSAGES, len(body) + 64)
            except Throttled:
                self.closed += 1
                self._hub = []
                self._device.append((due_ms + LATENCY_MS, ("link_closed", "connection lost")))
                break
            self.arrived.append((now_ms, body))
            self._device.append((due_ms + LATENCY_MS, ("link_puback", packet_id)))
        while self._device and self._device[0][0] <= now_ms and self._is_open:
            _, (name, *given) = self._device.pop(0)
            if name == "link_closed":
                self._is_open = False
            getattr(handler, name)(*given)


def lane_for(order, ring, body):
    if order == "oldest":
        return Lane(ring, body, 16, 200, 4000, 500)
    return LiveFirstLane(ring, body, 16, 200, 4000, 500, order == "newest")


@pytest.mark.parametrize(
    ("order", "offline_s"),
    [
        ("live", THREE_DAYS_S),
        ("oldest", SIX_HOURS_S),
        ("newest", SIX_HOURS_S),
        pytest.param("oldest", THREE_DAYS_S, marks=pytest.mark.exhaustive),
        pytest.param("newest", THREE_DAYS_S, marks=pytest.mark.exhaustive),
    ],
)
def test_everything_arrives_at_the_hubs_pace_while_live_readings_flow(order, offline_s):
    chance = random.Random(1626)
    world = World()
    clock = Clock(0)
    clock.learn(UTC_MS)
    clock.settle()
    ring = Ring(Memory(SECTORS))
    schemas, timeline = Schemas(), Timeline()
    recorder = Recorder(ring, 1, clock, timeline)
    weather = ReadingSchema("temperature,i2,-2,C;pressure,u3,-2,hPa;humidity,u2,-2,%")
    schemas.add(weather)
    recorder.use(weather)
    recorder.boot("power")
    recorder.learned_time()
    for second in range(offline_s):
        clock.uptime_ms = second * 1000
        recorder.reading(weather, (2150 + second % 700, 98_765, 4800))
    backlog = ring.pending
    last_offline = ring.next_number - 1
    dialect = AzureDialect("hub.invalid", "device", "a2V5a2V5a2V5a2V5a2V5a2V5", clock.utc_ms)
    lane = lane_for(order, ring, JsonBody(ring, timeline, schemas))
    lane.pace = Pace()
    outbox = Outbox((lane,), dialect)
    nobody = SimpleNamespace(has_room=lambda: True, is_idle=lambda: True)
    session = Session(world, outbox, dialect, nobody, Backoff(chance.randrange))

    start_ms = world.now_ms = offline_s * 1000
    taken_ms = {}  # live readings: when they were taken
    while ring.cursor < last_offline:
        assert world.now_ms - start_ms < 300_000, "the hub takes this in 70 s"
        world.now_ms += STEP_MS
        clock.uptime_ms = world.now_ms
        if world.now_ms % 1000 == 0:
            recorder.reading(weather, (2150, 98_765, 4800))
            taken_ms[ring.next_number - 1] = world.now_ms
        session.step(world.now_ms)
    drained_ms = world.now_ms - start_ms

    ledger = Ledger("device", f"{ring.ring_id:08x}")
    waited_ms, old = [], []
    for arrived_ms, body in world.arrived:
        said = claims.read(body)
        ledger.enter(said)
        waited_ms += [arrived_ms - taken_ms.pop(number) for number in said.numbers if number in taken_ms]
        if said.numbers[0] <= last_offline:
            old.append(said.numbers[0])
    account = ledger.close()
    assert account.missing == account.gaps == account.lost_reported == 0
    assert account.delivered_unique >= backlog
    if order == "oldest":
        assert account.out_of_order == 0
    else:
        waited_ms.sort()
        assert waited_ms[len(waited_ms) // 2] <= 1_500
        assert waited_ms[-1] <= 20_000, "the longest wait is for a new connection"
    if order != "newest":
        assert _first_times(old) == sorted(set(old)), "the backlog stays in order"
    # 7,000 full messages for three days; the hub takes a burst of 1,000, then 100 a second.
    assert len(world.arrived) <= 1.15 * backlog / 36 + 60
    assert drained_ms <= 1000 * len(world.arrived) / 100 * 2
    assert (world.closed > 0) == (offline_s == THREE_DAYS_S), "the hub objects to three days at once"
    assert world.closed <= 12, "the pace found its place"
    assert account.duplicates <= 16 * 38 * (world.closed + 1)


def _first_times(numbers):
    return list(dict.fromkeys(numbers))
