"""What the clock believes, what it goes by when nobody tells it the time, and what it sets the machine to."""

from fieldpost.agent import Agent
from fieldpost.clock import Clock
from fieldpost.limits import (
    CLOCK_BLOCKED_RETRY_MS,
    CLOCK_REFRESH_MS,
    CLOCK_RETRY_MS,
    CLOCK_TRIES,
    CLOCK_UNCONFIRMED_REFRESH_MS,
    SIGN_AHEAD_MS,
    STEP_BACK_MS_MAX,
    UTC_MS_MIN,
)
from fieldpost.records import schema
from fieldpost.records.earlier import confirmed_ms
from fieldpost.records.recorder import Recorder
from fieldpost.records.schemas import Schemas
from fieldpost.records.timeline import Timeline
from fieldpost.ring.log import Ring
from support import raises

from host_tools.emulator.nor_flash import NorFlash

NOW = 1_795_443_852_000
DAY = 86_400_000


class Machine:
    def __init__(self):
        self.set_to = []

    def __call__(self, utc_ms):
        self.set_to.append(utc_ms)


def test_a_time_before_this_firmware_is_refused():
    machine = Machine()
    clock = Clock(0, machine)
    for utc_ms in (0, 946_684_800_000, UTC_MS_MIN - 1):
        with raises(ValueError):
            clock.learn(utc_ms)
        assert clock.utc_ms() is None and machine.set_to == []
    clock.learn(UTC_MS_MIN)
    assert clock.utc_ms() == UTC_MS_MIN and machine.set_to == [UTC_MS_MIN]


def test_only_a_confirmed_time_stands_against_a_step_back():
    clock = Clock(0)
    clock.learn(NOW + 3650 * DAY)  # a liar, years ahead
    clock.learn(NOW)  # nothing has confirmed the lie
    clock.confirm()
    clock.advance(60_000)
    with raises(ValueError):
        clock.learn(NOW + 60_000 - STEP_BACK_MS_MAX - 1)
    assert clock.utc_ms() == NOW + 60_000
    clock.learn(NOW + 60_000 - STEP_BACK_MS_MAX)
    assert clock.utc_ms() == NOW + 60_000 - DAY


def test_an_earlier_boot_is_a_floor():
    machine = Machine()
    clock = Clock(0, machine)
    clock.begin_at(NOW)
    clock.advance(5_000)
    assert clock.utc_ms() is None and clock.signing_ms() is None and machine.set_to == []
    with raises(ValueError):
        clock.learn(NOW - DAY)
    clock.use_confirmed()
    clock.advance(6_000)
    clock.use_confirmed()
    # Certificates are judged by it, signatures made to last; readings do not pretend to know the time.
    assert machine.set_to == [NOW + 5_000]
    assert clock.signing_ms() == NOW + 6_000 + SIGN_AHEAD_MS and clock.utc_ms() is None
    clock.learn(NOW + 7 * DAY)
    assert clock.signing_ms() == clock.utc_ms() == NOW + 7 * DAY
    assert machine.set_to[-1] == NOW + 7 * DAY


def test_without_an_earlier_boot_nothing_is_signed():
    clock = Clock(0)
    clock.begin_at(0)
    clock.use_confirmed()
    assert clock.signing_ms() is None


class World:
    """An agent without sensors to read, whose time server says what `answers` hold, one after another."""

    is_up = True

    def __init__(self, answers, confirmed=0):
        self.machine = Machine()
        self.clock = Clock(0, self.machine)
        self.clock.begin_at(confirmed)
        self.answers = answers
        self.asked = []
        self.state = "down"
        flash = NorFlash(8 * 4096)
        recorders = [Recorder(Ring(flash if i else NorFlash(8 * 4096)), 1, self.clock, Timeline()) for i in range(2)]
        self.agent = Agent(
            {"sample_interval_ms": 3_600_000}, recorders[0], recorders[1], self.clock, Schemas(), self._sensor, self,
            self.ask, self.log,
        )  # fmt: skip
        self.logged = []
        self.agent.connect(self, self)

    def _sensor(self):
        return Sensor()

    def ask(self):
        self.asked.append(self.clock.uptime_ms)
        answer = self.answers.pop(0) if self.answers else None
        if answer is None:
            raise OSError(110)
        return answer

    def log(self, line):
        self.logged.append(line)

    def step(self, now):
        pass

    def forced_outputs(self):
        return ()

    def link(self, now_ms, is_up):
        pass

    def wait_ms(self, now_ms):
        return None

    def run(self, ms):
        end = self.clock.uptime_ms + ms
        while self.clock.uptime_ms < end:
            self.agent.step(self.clock.uptime_ms + 1_000)


class Sensor:
    schema = "temperature,i2,-2,C"

    def read(self):
        return (2150,)


def test_where_nobody_answers_the_device_goes_by_what_it_has():
    world = World([], NOW)
    world.run(CLOCK_TRIES * CLOCK_RETRY_MS)
    assert len(world.asked) == CLOCK_TRIES
    assert world.clock.signing_ms() is not None and world.clock.utc_ms() is None
    assert len(world.machine.set_to) == 1
    world.run(CLOCK_BLOCKED_RETRY_MS + 2_000)
    assert len(world.asked) == CLOCK_TRIES + 1, "a question that may block is not put every few seconds for ever"


def test_a_server_that_lies_is_refused_and_the_next_is_asked():
    world = World([NOW - 2 * DAY, 5, NOW + 60_000], NOW)
    world.run(3 * CLOCK_RETRY_MS)
    assert len(world.asked) == 3 and len(world.logged) == 2
    assert "a day before" in world.logged[0] and "before this firmware" in world.logged[1]
    assert world.clock.utc_ms() >= NOW + 60_000


def test_a_time_that_nothing_confirms_is_asked_for_again_soon():
    world = World([NOW + 400 * DAY, NOW + 1, NOW + 2])
    world.run(CLOCK_UNCONFIRMED_REFRESH_MS + 2_000)
    assert len(world.asked) == 2 and world.clock.utc_ms() < NOW + DAY
    world.state = "ready"
    world.run(CLOCK_UNCONFIRMED_REFRESH_MS + 2_000)
    assert len(world.asked) == 3
    world.run(CLOCK_REFRESH_MS // 2)
    assert len(world.asked) == 3


def test_the_floor_is_the_newest_time_that_a_hub_has_confirmed():
    """Nothing is written for it: the anchors in the ring and the cursor tell."""
    ring = Ring(NorFlash(8 * 4096))
    assert confirmed_ms(ring) == 0
    payload = memoryview(bytearray(64))

    def append(kind, length):
        ring.append(kind, payload[:length])
        return ring.next_number - 1

    def stamp(boot, uptime_ms):
        schema.pack_stamp(payload, boot, uptime_ms)
        return append(schema.READING, 10)

    append(schema.ANCHOR, schema.pack_anchor(payload, 1, 1_000, NOW))
    told = stamp(1, 61_000)
    append(schema.ANCHOR, schema.pack_anchor(payload, 2, 1_000, NOW + 3650 * DAY))  # a lie of a time server
    stamp(2, 2_000)
    assert confirmed_ms(Ring(ring.region)) == 0
    ring.forget(told)
    assert confirmed_ms(Ring(ring.region)) == NOW + 60_000
    # A boot that never learned the time changes nothing.
    stamp(3, 5_000)
    append(schema.ANCHOR, schema.pack_anchor(payload, 4, 1_000, NOW + 2 * DAY))
    ring.forget(ring.next_number - 1)
    assert confirmed_ms(Ring(ring.region)) == NOW + 2 * DAY


def test_the_floor_is_found_however_long_ago_the_time_was_learned():
    clock = Clock(0)
    ring = Ring(NorFlash(8 * 4096))
    recorder = Recorder(ring, 1, clock, Timeline())
    clock.learn(NOW)
    for _ in range(600):
        clock.advance(clock.uptime_ms + 1_000)
        recorder.text(schema.ALARM, b'{"what":"something"}')
    ring.forget(ring.next_number - 1)
    assert ring.newest > 2, "the first anchor is not in the newest sectors any more"
    assert confirmed_ms(Ring(ring.region)) == NOW + 600_000
