"""The agent's loop: the watchdog is fed while every duty does what it is there for."""

from fieldpost.agent import Agent
from fieldpost.clock import Clock
from fieldpost.limits import HEALTHY_AGE_MS_MAX, IDLE_WAIT_MS_MAX
from fieldpost.records.recorder import Recorder
from fieldpost.records.schemas import Schemas
from fieldpost.records.timeline import Timeline
from fieldpost.ring.log import Ring
from support import Idle

from host_tools.emulator.nor_flash import NorFlash


class Sensor:
    schema = "temperature,i2,-2,C"

    def read(self):
        return (2150,)


def an_agent(rings=None, **config):
    clock = Clock(0)
    rings = rings or [Ring(NorFlash(8 * 1024, sector_bytes=1024)) for _ in range(2)]
    recorders = [Recorder(ring, 1, clock, Timeline()) for ring in rings]
    agent = Agent(config, recorders[0], recorders[1], clock, Schemas(), Sensor, Idle(), None, print)
    agent.connect(Idle(), Idle())
    return agent


def test_it_sleeps_as_long_as_the_configuration_lets_it_and_wakes_for_a_reading():
    for config, longest in (({}, IDLE_WAIT_MS_MAX), ({"idle_wait_ms": 1000}, 1000)):
        agent = an_agent(sample_interval_ms=2500, **config)
        assert agent.step(0) == longest
        assert agent.step(2490) == 10
        assert agent.step(2500) == longest


def test_the_watchdog_is_fed_between_two_readings_however_far_apart():
    agent = an_agent(sample_interval_ms=3_600_000)
    for ticks in range(0, 3 * HEALTHY_AGE_MS_MAX, 1000):
        agent.step(ticks)
        assert agent.stalled() is None
    assert agent.last_reading == (2150,)


def test_a_boot_that_finds_the_urgent_tail_damaged_puts_a_record_behind_it():
    """It tells the hub which numbers are lost, and nobody gets them again; an urgent ring may be quiet for months."""
    for is_rotten in (False, True):
        readings, urgent = [Ring(NorFlash(8 * 1024, sector_bytes=1024)) for _ in range(2)]
        urgent.append(1, bytes(20))
        if is_rotten:
            urgent.region.memory[1024 + 44 + 10] ^= 1
        urgent = Ring(urgent.region)
        agent = an_agent((readings, urgent), sample_interval_ms=1000)
        agent.begin("power")
        assert readings.next_number == 2
        assert (urgent.next_number, urgent.newest_whole) == ((3, 2) if is_rotten else (2, 1))
