"""The agent with several sensors and long pauses: who is due is read, and a long pause is no stall.

Goal: the watchdog's food does not depend on how seldom a sensor is read. Method: the agent alone, with time made up.
"""

from fieldpost.agent import Agent
from fieldpost.clock import Clock
from fieldpost.errors import SensorError
from support import Idle


class Recorder:
    def __init__(self):
        self.readings = []
        self.texts = []
        self.ring = self

    def maintain(self):
        return False

    def use(self, reading_schema):
        pass

    def reading(self, reading_schema, values):
        self.readings.append(values)

    def text(self, kind, text):
        self.texts.append(text)

    def sync_old_group(self):
        pass

    def learned_time(self):
        pass


class Sensor:
    def __init__(self, value):
        self.schema = "value%d,u2,0,1" % value
        self.value = value
        self.fails = False

    def read(self):
        if self.fails:
            raise SensorError("sensor %d" % self.value)
        return (self.value,)


def bench(interval_ms):
    recorder, urgent, still = Recorder(), Recorder(), Idle()
    sensors = [Sensor(1), Sensor(2)]
    said = []
    agent = Agent(
        {"sample_interval_ms": interval_ms}, recorder, urgent, Clock(0), still,
        lambda: sensors[0], still, None, said.append,
    )  # fmt: skip
    agent.connect(still, still)
    return agent, recorder, urgent, sensors, said


def run(agent, start_ms, end_ms):
    """Step through the time as the loop does; return whether a duty ever stalled."""
    stalled = False
    now_ms = start_ms
    while now_ms < end_ms:
        now_ms += max(1, agent.step(now_ms))
        stalled = stalled or agent.stalled() is not None
    return stalled


def test_a_sensor_that_is_read_every_ten_minutes_is_no_stall():
    agent, recorder, _, _, _ = bench(600_000)
    assert not run(agent, 0, 1_800_000)
    assert len(recorder.readings) == 3


def test_each_sensor_has_a_rhythm_and_failures_of_its_own():
    agent, recorder, urgent, sensors, said = bench(1000)
    agent.add_sensor("other", lambda: sensors[1], 3000)
    run(agent, 0, 9000)
    assert recorder.readings.count((1,)) == 9 and recorder.readings.count((2,)) == 3
    sensors[1].fails = True
    run(agent, 9000, 18_000)
    assert recorder.readings.count((1,)) == 18 and recorder.readings.count((2,)) == 3
    assert said == ["sensor 2"] and agent.sensor_failures == 3
    assert b'"other"' in urgent.texts[0] and b"failed" in urgent.texts[0]
    sensors[1].fails = False
    run(agent, 18_000, 27_000)
    assert recorder.readings.count((2,)) == 6
    assert b"works" in urgent.texts[1]
