"""The loop's body: sense, append, obey, send, report; every step bounded in time.

The agent knows no machine: sensors, ring, session, commands, network and clock are handed to it, and so
is what it may ask of the port (the time, the reset). It sleeps nowhere and prints nowhere.
"""

from fieldpost.errors import SensorError
from fieldpost.health import Health
from fieldpost.limits import (
    CLOCK_REFRESH_MS,
    CLOCK_RETRY_MS,
    GROUP_AGE_MS_MAX,
    IDLE_WAIT_MS_MAX,
    RECORD_BYTES_MAX,
    SENSOR_RETRY_MS,
)
from fieldpost.records import schema
from fieldpost.records.reading_schema import ReadingSchema


class Agent:
    """One device. Call `step` often; it returns how many ms may pass until the next.

    ring: where records are kept. clock, timeline, schemas: see those modules; boot: number of this boot.
    make_sensor: callable that returns a sensor with read(), or raises SensorError; asked again after a failure.
    network: is_up and step(ticks). ask_time_ms: callable, UTC ms or OSError. session, commands: step(now_ms).
    log: callable that takes one line of text.
    """

    def __init__(self, config, ring, clock, timeline, schemas, boot, make_sensor, network, ask_time_ms, log):
        self.ring = ring
        self.boot = boot
        self.session = None
        self.commands = None
        self.last_reading = None
        self.sensor_failures = 0
        self._sample_interval_ms = config["sample_interval_ms"]
        self._clock = clock
        self._timeline = timeline
        self._schemas = schemas
        self._make_sensor = make_sensor
        self._sensor = None
        self._reading_schema = None
        self._network = network
        self._ask_time_ms = ask_time_ms
        self._log = log
        self._payload = memoryview(bytearray(RECORD_BYTES_MAX))
        self._next_sample_ms = clock.uptime_ms
        self._next_clock_ms = clock.uptime_ms
        self._explained_sector = -1
        self._group_since_ms = 0
        self._health = Health(("sense", "send", "obey"), clock.uptime_ms)

    def connect(self, session, commands):
        """Hand over the two parts that answer through this agent."""
        self.session = session
        self.commands = commands

    def begin(self, cause):
        """Append the record that says that this boot began, and why (one of records.schema.CAUSES)."""
        length = schema.pack_boot(self._payload, self.boot, self._clock.uptime_ms, cause)
        self._append(schema.BOOT, length)

    def answer(self, text):
        """Append a command's answer (UTF-8 JSON object) durably; it leaves with the readings."""
        length = schema.pack_text(self._payload, self.boot, self._clock.uptime_ms, text)
        self.ring.append(schema.RESULT, self._payload[:length])

    def step(self, ticks):
        """Do what is due; return how many ms the caller may wait. ticks: the port's tick counter."""
        now_ms = self._clock.advance(ticks)
        self._network.step(ticks)
        self._learn_time(now_ms)
        self._sense(now_ms)
        self._sync_old_group(now_ms)
        self.commands.step(now_ms)
        self._health.alive("obey", now_ms)
        self.session.step(now_ms)
        self._health.alive("send", now_ms)
        if self._next_sample_ms - now_ms > IDLE_WAIT_MS_MAX // 2:
            self.ring.maintain()
        wait_ms = min(IDLE_WAIT_MS_MAX, self._next_sample_ms - now_ms)
        command_wait_ms = self.commands.wait_ms(now_ms)
        if command_wait_ms is not None:
            wait_ms = min(wait_ms, command_wait_ms)
        return max(0, wait_ms)

    def stalled(self):
        """Return the duty that no longer works, or None: the watchdog is fed only then."""
        return self._health.stalled(self._clock.uptime_ms)

    def _sense(self, now_ms):
        if now_ms < self._next_sample_ms:
            return
        self._health.alive("sense", now_ms)
        try:
            if self._sensor is None:
                self._sensor = self._make_sensor()
                self._reading_schema = ReadingSchema(self._sensor.schema)
                self._schemas.add(self._reading_schema)
            reading = self._sensor.read()
        except SensorError as error:
            if self.sensor_failures == 0 or self._sensor is not None:
                self._log(str(error))
            self.sensor_failures += 1
            self._sensor = None
            self._next_sample_ms = now_ms + max(SENSOR_RETRY_MS, self._sample_interval_ms)
            return
        length = schema.pack_reading(self._payload, self.boot, now_ms, self._reading_schema, reading)
        self._append(schema.READING, length)
        self.last_reading = reading
        if self.ring.newest != self._explained_sector:
            self._explain_sector(now_ms)
        # Keep the rhythm; what a stall made impossible is not made up by a burst.
        self._next_sample_ms = max(self._next_sample_ms + self._sample_interval_ms, now_ms)

    def _learn_time(self, now_ms):
        if now_ms < self._next_clock_ms or not self._network.is_up:
            return
        self._next_clock_ms = now_ms + CLOCK_RETRY_MS
        try:
            utc_ms = self._ask_time_ms()
        except OSError as error:
            if self._clock.utc_ms() is None:
                self._log("no time server answers: %s" % error)
            return
        self._next_clock_ms = now_ms + CLOCK_REFRESH_MS
        first = self._clock.utc_ms() is None
        self._clock.learn(utc_ms)
        if first:
            self._anchor(now_ms, utc_ms)

    def _explain_sector(self, now_ms):
        """Each sector tells its readings' schema and time of day: the sectors before it will be overwritten."""
        length = schema.pack_text(self._payload, self.boot, now_ms, self._reading_schema.text.encode())
        self._append(schema.SCHEMA, length)
        utc_ms = self._clock.utc_ms()
        if utc_ms is not None:
            self._anchor(now_ms, utc_ms)
        self._explained_sector = self.ring.newest

    def _anchor(self, now_ms, utc_ms):
        self._timeline.learn(self.boot, now_ms, utc_ms)
        length = schema.pack_anchor(self._payload, self.boot, now_ms, utc_ms)
        self._append(schema.ANCHOR, length)

    def _append(self, kind, length):
        """Append what the payload buffer holds; a group of appends is made durable together where that is dear."""
        ring = self.ring
        if ring.synced == ring.next_number - 1:
            self._group_since_ms = self._clock.uptime_ms
        ring.append(kind, self._payload[:length], sync=False)
        if ring.next_number - 1 - ring.synced >= ring.region.group_records:
            ring.sync()

    def _sync_old_group(self, now_ms):
        if self.ring.synced < self.ring.next_number - 1 and now_ms - self._group_since_ms >= GROUP_AGE_MS_MAX:
            self.ring.sync()
