"""What the clock believes, what it goes by when nobody tells it the time, and what it sets the machine to."""

from fieldpost.agent import Agent
from fieldpost.clock import Clock
from fieldpost.limits import (
    CLOCK_AGREE_MS,
    CLOCK_REFRESH_MS,
    CLOCK_RETRY_MS,
    CLOCK_SILENT_RETRY_MS,
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
from support import Idle, raises, tell_time

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
        clock.settle()
        assert clock.utc_ms() is None and machine.set_to == []
    tell_time(clock, UTC_MS_MIN)
    assert clock.utc_ms() == UTC_MS_MIN and machine.set_to == [UTC_MS_MIN]


def test_what_one_server_says_is_believed_when_the_next_agrees():
    machine = Machine()
    clock = Clock(0, machine)
    assert not clock.learn(NOW + DAY) and not clock.learn(NOW)
    assert clock.utc_ms() is None and machine.set_to == []
    clock.advance(5_000)
    assert clock.learn(NOW + 5_000 + CLOCK_AGREE_MS)
    assert clock.utc_ms() == NOW + 5_000 + CLOCK_AGREE_MS and clock.is_agreed
    # What is believed is corrected by whoever is near it, and by two who are not.
    assert clock.learn(NOW + 5_000) and clock.utc_ms() == NOW + 5_000
    assert not clock.learn(NOW + DAY) and not clock.learn(NOW + 2 * DAY) and clock.utc_ms() == NOW + 5_000
    assert clock.learn(NOW + 2 * DAY + 1) and clock.utc_ms() == NOW + 2 * DAY + 1


def test_one_server_alone_is_believed_where_no_other_answers():
    clock = Clock(0)
    clock.settle()
    assert clock.utc_ms() is None
    clock.learn(NOW)
    clock.settle()
    assert clock.utc_ms() == NOW and not clock.is_agreed
    clock.learn(NOW + DAY)
    clock.settle()
    assert clock.utc_ms() == NOW, "only where nothing better is known"


def test_only_a_confirmed_time_stands_against_a_step_back():
    clock = Clock(0)
    tell_time(clock, NOW + 3650 * DAY)  # liars, years ahead
    tell_time(clock, NOW)  # nothing has confirmed the lie
    clock.confirm()
    clock.advance(60_000)
    with raises(ValueError):
        clock.learn(NOW + 60_000 - STEP_BACK_MS_MAX - 1)
    assert clock.utc_ms() == NOW + 60_000
    tell_time(clock, NOW + 60_000 - STEP_BACK_MS_MAX)
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
    tell_time(clock, NOW + 7 * DAY)
    assert clock.signing_ms() == clock.utc_ms() == NOW + 7 * DAY
    assert machine.set_to[-1] == NOW + 7 * DAY


def test_without_an_earlier_boot_nothing_is_signed():
    clock = Clock(0)
    clock.begin_at(0)
    clock.use_confirmed()
    assert clock.signing_ms() is None


class World(Idle):
    """An agent without sensors to read, whose time server says what `answers` hold, one after another."""

    is_up = True

    def __init__(self, answers, confirmed=0):
        self.machine = Machine()
        self.clock = Clock(0, self.machine)
        self.clock.begin_at(confirmed)
        self.answers = answers
        self.asked = []
        self.judgements = 0
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

    def judge_again(self):
        self.judgements += 1

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
    world.run(CLOCK_SILENT_RETRY_MS + 2_000)
    assert len(world.asked) == CLOCK_TRIES + 1, "servers are not asked every few seconds for ever"
    assert world.judgements == 0


def test_a_server_that_lies_is_refused_and_the_next_is_asked():
    world = World([NOW - 2 * DAY, 5, NOW + 60_000, NOW + 60_000], NOW)
    world.run(3 * CLOCK_RETRY_MS)
    assert len(world.asked) == 4 and len(world.logged) == 2
    assert "a day before" in world.logged[0] and "before this firmware" in world.logged[1]
    assert world.clock.utc_ms() >= NOW + 60_000


def test_one_liar_among_three_never_sets_the_clock():
    for answers in ((400 * DAY, 0, 0), (0, 400 * DAY, 0, 0), (0, 0, 400 * DAY)):
        world = World([NOW + off_ms for off_ms in answers])
        world.run(CLOCK_UNCONFIRMED_REFRESH_MS + 5_000)
        assert world.machine.set_to and max(world.machine.set_to) < NOW + DAY, answers
        assert world.judgements == 1


def test_servers_that_never_agree_are_not_asked_without_end():
    world = World([NOW + number * DAY for number in range(100)])
    world.run(CLOCK_UNCONFIRMED_REFRESH_MS)
    assert len(world.asked) == CLOCK_TRIES and world.clock.utc_ms() is not None
    world.run(10 * CLOCK_UNCONFIRMED_REFRESH_MS)
    assert len(world.asked) <= CLOCK_TRIES + 11


def test_what_one_server_alone_has_said_gives_way_to_two_whatever_tls_accepts():
    world = World([NOW + 10 * DAY, None, NOW + 61_000, NOW + 62_000])
    world.run(2_000)
    assert world.clock.utc_ms() > NOW + DAY, "nobody else answered"
    world.state = "ready"  # the certificate is good in ten days as well
    world.run(CLOCK_UNCONFIRMED_REFRESH_MS + CLOCK_RETRY_MS)
    assert len(world.asked) == 4 and world.clock.utc_ms() < NOW + DAY
    assert world.judgements == 2 and world.agent._readings.ring.next_number > 2


def test_a_time_that_nothing_confirms_is_asked_for_again_soon():
    world = World([NOW + 400 * DAY, None, NOW + 1, NOW + 2, NOW + 3, NOW + 4])
    world.run(CLOCK_UNCONFIRMED_REFRESH_MS + CLOCK_RETRY_MS)
    assert len(world.asked) == 4 and world.clock.utc_ms() < NOW + DAY
    assert world.judgements == 2, "certificates are judged again by the time that is right"
    world.state = "ready"
    world.run(CLOCK_UNCONFIRMED_REFRESH_MS + 2_000)
    assert len(world.asked) == 5
    world.run(CLOCK_REFRESH_MS // 2)
    assert len(world.asked) == 5


def test_a_question_that_is_under_way_is_put_on():
    world = World([])
    answers = [None, None, NOW, None, NOW]
    world.agent._ask_time_ms = lambda: answers.pop(0)
    world.run(4_000)
    assert world.clock.utc_ms() is None and len(answers) == 1 and world.logged == []
    world.run(1_000)
    assert world.clock.utc_ms() == NOW


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
    tell_time(clock, NOW)
    for _ in range(600):
        clock.advance(clock.uptime_ms + 1_000)
        recorder.text(schema.ALARM, b'{"what":"something"}')
    ring.forget(ring.next_number - 1)
    assert ring.newest > 2, "the first anchor is not in the newest sectors any more"
    assert confirmed_ms(Ring(ring.region)) == NOW + 600_000
