"""The loop's body: sense, append, obey, send, report; every step bounded in time.

The agent knows no machine: sensors, ring, session, commands, network and clock are handed to it, and so
is what it may ask of the port (the time, the reset). It sleeps nowhere and prints nowhere.
"""

from fieldpost.compat import is_micropython
from fieldpost.errors import SensorError
from fieldpost.health import Health
from fieldpost.limits import (
    ALARM_INTERVAL_MS,
    CLOCK_AGREE_MS,
    CLOCK_REFRESH_MS,
    CLOCK_RETRY_MS,
    CLOCK_SILENT_RETRY_MS,
    CLOCK_TRIES,
    CLOCK_UNCONFIRMED_REFRESH_MS,
    HEALTHY_AGE_MS_MAX,
    IDLE_WAIT_MS_MAX,
    SENSOR_RETRY_MS,
)
from fieldpost.modules import unload
from fieldpost.records import schema
from fieldpost.records.reading_schema import ReadingSchema
from fieldpost.uplink.session import READY


class Agent:
    """One device. Call `step` often; it returns how many ms may pass until the next.

    readings, urgent: Recorders, of the backlog and of what must not wait behind it. schemas: see records.schemas.
    make_sensor: callable that returns a sensor with read(), or raises SensorError; asked again after a failure.
    network: is_up and step(ticks). ask_time_ms: callable, UTC ms, None for "not yet", or OSError.
    session, commands: step(now_ms). log: callable that takes one line of text.
    """

    def __init__(self, config, readings, urgent, clock, schemas, make_sensor, network, ask_time_ms, log):
        self.session = None
        self.commands = None
        self.readings_taken = 0
        self.thresholds = None  # see that module; most devices have none
        self.samplers = [Sampler("sensor", make_sensor, config["sample_interval_ms"], clock.uptime_ms)]
        self._readings = readings
        self._urgent = urgent
        self._clock = clock
        self._schemas = schemas
        self._network = network
        self._ask_time_ms = ask_time_ms
        self._log = log
        self._next_clock_ms = clock.uptime_ms
        self._idle_wait_ms = config.get("idle_wait_ms", IDLE_WAIT_MS_MAX)
        self._unanswered = 0  # questions to time servers
        self._health = Health(("sense", "send", "obey"), clock.uptime_ms)

    def connect(self, session, commands):
        """Hand over the two parts that answer through this agent."""
        self.session = session
        self.commands = commands

    def add_sensor(self, name, make_sensor, interval_ms, is_spare=False):
        """Read one sensor more. name: what alarms call it. interval_ms: between two readings.

        is_spare: off until the settings switch it on.
        """
        self.samplers.append(Sampler(name, make_sensor, interval_ms, self._clock.uptime_ms, is_spare))

    @property
    def last_reading(self):
        """The newest reading of the first sensor, None before there is one."""
        return self.samplers[0].last_reading

    @property
    def reading_schema(self):
        """What the numbers of `last_reading` are."""
        return self.samplers[0].reading_schema

    @property
    def sensor_failures(self):
        """How often a sensor could not be found or read."""
        failures = 0
        for sampler in self.samplers:
            failures += sampler.failures
        return failures

    def begin(self, cause):
        """Append the record that says that this boot began, and why (one of records.schema.CAUSES)."""
        self._readings.boot(cause)
        ring = self._urgent.ring
        if ring.newest_whole + 1 < ring.next_number:
            self._urgent.boot(cause)  # its tail is torn or has rotted, which only a record behind it can tell

    def set_rhythm(self, sample_interval_ms, sensors):
        """Read the first sensor each `sample_interval_ms` from now on, and others as configured.

        sensors: {name: {"on": bool, "interval_ms": int}} for what shall be otherwise. What changes is read at once.
        """
        for sampler in self.samplers:
            wanted = sensors.get(sampler.name) or {}
            default_ms = sample_interval_ms if sampler is self.samplers[0] else sampler.configured_ms
            interval_ms = wanted.get("interval_ms") or default_ms
            is_on = wanted.get("on", not sampler.is_spare)
            if (interval_ms, is_on) != (sampler.interval_ms, sampler.is_on):
                sampler.interval_ms = interval_ms
                sampler.is_on = is_on
                sampler.next_ms = self._clock.uptime_ms

    def answer(self, text):
        """Append a command's answer (UTF-8 JSON object) durably; it leaves before the readings."""
        self._urgent.text(schema.RESULT, text)

    def step(self, ticks):
        """Do what is due; return how many ms the caller may wait. ticks: the port's tick counter."""
        now_ms = self._clock.advance(ticks)
        self._network.step(ticks)
        self._learn_time(now_ms)
        next_sample_ms = self._sense(now_ms)
        self._readings.sync_old_group()
        self.commands.step(now_ms)
        self._health.alive("obey", now_ms)
        for name in self.commands.forced_outputs():
            self._alarm("output", "forced safe", (("pin", name),))
        self.session.step(now_ms)
        is_ready = self.session.state == READY
        if is_ready:
            self._clock.confirm()
        self.commands.link(now_ms, is_ready)
        self._health.alive("send", now_ms)
        if next_sample_ms - now_ms > IDLE_WAIT_MS_MAX // 2 and not self._readings.ring.maintain():
            self._urgent.ring.maintain()
        wait_ms = min(self._idle_wait_ms, next_sample_ms - now_ms)
        command_wait_ms = self.commands.wait_ms(now_ms)
        if command_wait_ms is not None:
            wait_ms = min(wait_ms, command_wait_ms)
        return max(0, wait_ms)

    def stalled(self):
        """Return the duty that no longer works, or None: the watchdog is fed only then."""
        return self._health.stalled(self._clock.uptime_ms)

    def _sense(self, now_ms):
        """Read what is due; return when the next sensor is."""
        next_sample_ms = None
        for sampler in self.samplers:
            if not sampler.is_on:
                continue
            if now_ms >= sampler.next_ms:
                self._health.alive("sense", now_ms)
                self._sample(sampler, now_ms)
            if next_sample_ms is None or sampler.next_ms < next_sample_ms:
                next_sample_ms = sampler.next_ms
        if next_sample_ms - now_ms > HEALTHY_AGE_MS_MAX // 2:
            self._health.alive("sense", now_ms)  # nothing is due for so long: silence is no sign of trouble
        return next_sample_ms

    def _sample(self, sampler, now_ms):
        try:
            if sampler.sensor is None:
                sampler.sensor = sampler.make_sensor()
                if sampler.reading_schema is None or sampler.reading_schema.text != sampler.sensor.schema:
                    self._explain(sampler)
            reading = sampler.sensor.read()
        except SensorError as error:
            self._sensor_failed(sampler, now_ms, str(error))
            return
        self._readings.reading(sampler.reading_schema, reading)
        sampler.last_reading = reading
        self.readings_taken += 1
        sampler.error = ""
        if sampler.is_alarmed:
            sampler.is_alarmed = False
            self._alarm(sampler.name, "works", (("failures", sampler.failures),))
        crossing = self.thresholds and self.thresholds.check(sampler.reading_schema, reading, now_ms)
        if crossing:
            quantity, state, value = crossing
            self._alarm(quantity, state, (("value", value.encode()),))
        # Keep the rhythm; what a stall made impossible is not made up by a burst.
        sampler.next_ms = max(sampler.next_ms + sampler.interval_ms, now_ms)

    def _explain(self, sampler):
        sampler.reading_schema = ReadingSchema(sampler.sensor.schema)
        self._schemas.add(sampler.reading_schema)
        self._readings.use(sampler.reading_schema)

    def _sensor_failed(self, sampler, now_ms, reason):
        if reason != sampler.error:
            sampler.error = reason
            self._log(reason)
        sampler.failures += 1
        sampler.sensor = None
        sampler.next_ms = now_ms + max(SENSOR_RETRY_MS, sampler.interval_ms)
        # One that comes and goes must not fill the urgent lane.
        if not sampler.is_alarmed and now_ms >= sampler.next_alarm_ms:
            sampler.is_alarmed = True
            sampler.next_alarm_ms = now_ms + ALARM_INTERVAL_MS
            self._alarm(sampler.name, "failed", (("failures", sampler.failures), ("reason", reason)))

    def _alarm(self, what, state, more):
        from fieldpost.commands.answer import encode_alarm

        self._urgent.text(schema.ALARM, encode_alarm(what, state, more))
        if is_micropython:
            unload("fieldpost.commands.answer")  # memory that alarms and answers take while there are some

    def _learn_time(self, now_ms):
        if now_ms < self._next_clock_ms or not self._network.is_up:
            return
        clock = self._clock
        before_ms = clock.utc_ms()
        try:
            utc_ms = self._ask_time_ms()
            if utc_ms is None:
                return  # the question is under way
            if clock.learn(utc_ms):
                self._unanswered = 0
            else:
                self._unanswered += 1
                if self._unanswered < CLOCK_TRIES:
                    return  # another is asked at once
                clock.settle()
            is_confirmed = clock.is_agreed and self.session.state == READY
            self._next_clock_ms = now_ms + (CLOCK_REFRESH_MS if is_confirmed else CLOCK_UNCONFIRMED_REFRESH_MS)
        except (OSError, ValueError) as error:
            self._time_failed(now_ms, error)
        after_ms = clock.utc_ms()
        if after_ms is not None and (before_ms is None or abs(after_ms - before_ms) > CLOCK_AGREE_MS):
            self._readings.learned_time()
            self._urgent.learned_time()
            self.session.judge_again()

    def _time_failed(self, now_ms, error):
        self._unanswered += 1
        self._next_clock_ms = now_ms + (CLOCK_RETRY_MS if self._unanswered < CLOCK_TRIES else CLOCK_SILENT_RETRY_MS)
        if isinstance(error, OSError):
            self._clock.settle()
        if self._clock.utc_ms() is not None:
            return
        self._log("the time is not known: %s" % error)
        if self._unanswered == CLOCK_TRIES:
            self._clock.use_confirmed()


class Sampler:
    """One sensor and what is known of it. error: what is wrong now, "" if nothing is.

    is_spare: whether it is off unless the settings switch it on.
    """

    def __init__(self, name, make_sensor, interval_ms, now_ms, is_spare=False):
        self.name = name
        self.make_sensor = make_sensor
        self.configured_ms = self.interval_ms = interval_ms
        self.is_spare = is_spare
        self.is_on = not is_spare
        self.next_ms = now_ms
        self.sensor = None
        self.reading_schema = None
        self.last_reading = None
        self.failures = 0
        self.error = ""
        self.is_alarmed = False  # whether the hub was told that it fails
        self.next_alarm_ms = now_ms
