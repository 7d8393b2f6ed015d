"""Builds the agent of one device from its configuration and its port, and runs it.

The only place that knows both sides: cores that know no machine, and the machine.
"""

import gc
import json
import sys
from binascii import a2b_base64

from fieldpost import __version__, compat
from fieldpost.agent import Agent
from fieldpost.clock import Clock
from fieldpost.commands.context import Context
from fieldpost.commands.executor import Commands
from fieldpost.commands.journal import Journal
from fieldpost.commands.outputs import Outputs
from fieldpost.commands.vocabulary import Vocabulary, user_words
from fieldpost.limits import (
    BATCH_BYTES_MAX,
    BATCH_BYTES_MIN,
    COMMAND_BYTES_MAX,
    GC_THRESHOLD_BYTES,
    INBOUND_BYTES_MAX,
    RECORD_BYTES_MAX,
    URGENT_WINDOW_BATCHES,
)
from fieldpost.links.umqtt import UmqttLink
from fieldpost.records.json_body import JsonBody
from fieldpost.records.recorder import Recorder
from fieldpost.records.schemas import Schemas
from fieldpost.records.timeline import Timeline
from fieldpost.ring.layout import divide
from fieldpost.ring.log import Ring
from fieldpost.sensors.bme280 import Bme280
from fieldpost.uplink.backoff import Backoff
from fieldpost.uplink.lane import Lane
from fieldpost.uplink.outbox import Outbox
from fieldpost.uplink.pace import Pace
from fieldpost.uplink.session import CONNECTING, Session


class Device:
    """A whole device, ready to run. Raises ConfigError, RegionUnusable or OSError if it cannot be built."""

    def __init__(self, config, identity, port, log):
        # Of the configuration only what is needed later: the rest is let go of when all is made.
        self._sensor = config["sensors"][0]
        self._board = config["board"]
        self._status_interval_ms = config["status_interval_ms"]
        self.port = port
        self._log = log
        self._next_status_ms = 0
        self._collects_early = None
        self.clock = Clock(compat.ticks_ms(), getattr(port, "set_time_ms", None))
        # Outputs before whatever may fail: a pin that the agent before this one left on goes to its safe level.
        pins = self.pins = config["pins"]
        self.outputs = Outputs(pins, {name: _open_pin(pins[name], port) for name in pins}, self.clock.uptime_ms)
        # Needed once: main.py unloads them.
        from fieldpost.identity import make_context, make_dialect
        from fieldpost.records.earlier import confirmed_ms, last_boot

        hub = config["hub"]
        dialect, host, port_number = make_dialect(hub, identity, self.clock.signing_ms, port)
        # The largest buffers first, while the heap is still in one piece.
        inbound_bytes = INBOUND_BYTES_MAX if hub["twin"] else COMMAND_BYTES_MAX
        context, roots = make_context(hub, identity, log, port)
        path = dialect.websocket_path if hub["transport"] == "websockets" else None
        batch = config["batch"]
        # A report of the twin, too, is put where batches are.
        body_bytes = BATCH_BYTES_MAX if hub["twin"] else batch["bytes_max"]
        self.link = self._link_class()(
            dialect, host, port_number, config["keepalive_s"], context, inbound_bytes, path, body_bytes
        )
        region = port.region()
        scratch = memoryview(bytearray(2 * region.page_bytes))
        if hasattr(region, "share_page"):
            region.share_page(scratch[region.page_bytes :])  # rings read what was programmed back to it, afterwards
        sectors = config["ring"]
        journal, self.urgent, self.ring = [
            Ring(part, scratch) for part in divide(region, sectors["journal_sectors"], sectors["urgent_sectors"])
        ]
        boot = max(last_boot(self.ring), last_boot(self.urgent)) + 1
        self.clock.begin_at(max(confirmed_ms(self.ring), confirmed_ms(self.urgent)))
        # Each ring explains itself: what stands in the other may be overwritten first.
        schemas = Schemas()
        timelines = Timeline(), Timeline()
        self.boot = boot
        record = memoryview(bytearray(RECORD_BYTES_MAX))
        self.agent = Agent(
            config,
            Recorder(self.ring, boot, self.clock, timelines[0], record),
            Recorder(self.urgent, boot, self.clock, timelines[1], record),
            self.clock,
            schemas,
            self._make_sensor,
            port.network,
            port.ask_time_ms,
            log,
        )
        self._add_sensors()
        self._led = None
        if config["status_led"] is not None:
            self._led = self._make_led(config["status_led"])
        self.settings = None
        self.defaults = config["sample_interval_ms"], batch["records_max"], batch["age_ms"], config["trial_s"] * 1000
        self.context = Context(self.outputs, self.ring, self.agent, self._about, self._open_settings)
        self.commands = Commands(
            Vocabulary(pins, self._user_words() if roots is None else roots.words + tuple(self._user_words())),
            self.context,
            Journal(journal),
            self.agent.answer,
            self.clock.utc_ms,
            _policy(config["commands"], identity),
        )
        form = _body_form(batch["encoding"])
        dialect.event_properties = form.properties
        readings = form(self.ring, timelines[0], schemas)
        urgent = form(self.urgent, timelines[1], schemas)
        records_max = batch["records_max"]
        window = config["window"]
        size = window, records_max, batch["bytes_max"], batch["age_ms"]
        if batch["order"] == "oldest":
            self._readings_lane = Lane(self.ring, readings, *size)
        else:
            from fieldpost.uplink.ahead import LiveFirstLane

            self._readings_lane = LiveFirstLane(self.ring, readings, *size, batch["order"] == "newest")
        self._readings_lane.pace = Pace(batch["per_second"] or 0)
        lanes = (
            Lane(self.urgent, urgent, min(URGENT_WINDOW_BATCHES, window), records_max, BATCH_BYTES_MIN, 0),
            self._readings_lane,
        )
        self.outbox = Outbox(lanes, dialect)
        self._settings_store = port.settings_store()
        is_stored = self._settings_store.read() is not None
        if hub["twin"] or is_stored:
            self._keep_settings(is_stored)
        channels = self._channels(hub, pins)
        if hub["dialect"] == "plain":
            from fieldpost.hubs.plain import Presence

            channels.append(Presence(dialect.status_topic))
        if roots is not None:
            channels.append(roots)
        if hub["provisioning"] is None:
            session_class = Session
        else:
            from fieldpost.uplink.assigned import AssignedSession as session_class
        self.session = session_class(
            self.link, self.outbox, dialect, self.commands, Backoff(compat.random_below), channels
        )
        if roots is not None:
            roots.connect(self.session, self.link.trust)
        self.commands.done_callback = self.session.command_done
        self.agent.connect(self.session, self.commands)
        self._cause = port.reset_cause()
        self.agent.begin(self._cause)

    def run(self):
        """Run until interrupted, or until a restart is asked for; outputs are safe when it ends, however it ends."""
        if compat.is_micropython:
            gc.collect()
        watchdog = self.port.watchdog()
        try:
            while True:
                self._collect_early(self.session.state != CONNECTING)
                wait_ms = self.step()
                if self.agent.stalled() is None:
                    watchdog.feed()
                self._report()
                if self.wants_restart:
                    break
                self.link.wait(wait_ms)
        finally:
            self.make_safe()
            self.link.close()
        self.ring.sync()
        self.port.reset()

    def _collect_early(self, wanted):
        """Collect before garbage breaks up the heap, but not while TLS shakes hands.

        On rp2 its library takes and gives back heap all the time then: with 150 KB in use, a collection for every
        16 KB of that makes 4.7 s out of a handshake of 3.9 s (1.3 s with an empty heap).
        """
        if compat.is_micropython and wanted != self._collects_early:
            self._collects_early = wanted
            gc.threshold(GC_THRESHOLD_BYTES if wanted else -1)

    def step(self):
        """Do what is due; return how many ms may pass until the next."""
        wait_ms = self.agent.step(compat.ticks_ms())
        if self.settings is not None:
            self.settings.step(self.clock.uptime_ms)
        if self._led is not None:
            self._led(self.clock.uptime_ms)
        return wait_ms

    @property
    def wants_restart(self):
        """Whether a restart was asked for and its answer has had the time to leave, or the network needs one."""
        if self.context.reboot_ms is None:
            return self.port.network.is_stuck
        return self.clock.uptime_ms >= self.context.reboot_ms

    def make_safe(self):
        """Set every output to its safe level."""
        self.outputs.make_safe(self.clock.uptime_ms)

    def _add_sensors(self):
        """Name the first sensor, and add others."""
        self.agent.samplers[0].name = self._sensor["driver"]

    def _make_sensor(self):
        return Bme280(self.port.i2c(), self._sensor["address"])

    def _link_class(self):
        return UmqttLink

    def _channels(self, hub, pins):
        """Return what speaks over the connection beside messages; each takes memory, and can be switched off."""
        channels = []
        if hub["methods"]:
            from fieldpost.hubs.azure_methods import Methods

            channels.append(Methods(self.commands, "%08x-%d" % (self.ring.ring_id, self.boot)))
        if hub["twin"]:
            from fieldpost.hubs.azure_twin import Twin

            channels.append(Twin(self.outputs, self.settings, self._make_twin))
        return channels

    def _make_twin(self, channel):
        from fieldpost.late_assembly import make_twin

        return make_twin(self, channel, self._about)

    def _make_led(self, settings):
        from fieldpost.status_led import StatusLed, state_of

        led = StatusLed(self.port.output(settings["gpio"], int(settings["inverted"])), settings["inverted"])
        return lambda now_ms: led.step(state_of(self.port.network, self.session), now_ms)

    def _open_settings(self):
        """Return the Settings, for now (see kept_settings)."""
        if self.settings is None:
            self._keep_settings(False)
        return self.settings.open()

    def _keep_settings(self, is_stored):
        from fieldpost.commands.kept_settings import KeptSettings  # memory that a device which nobody configures saves

        self.settings = KeptSettings(self._make_settings, is_stored)

    def _make_settings(self):
        from fieldpost.late_assembly import make_settings

        return make_settings(self, self._settings_store, self._readings_lane)

    def _user_words(self):
        try:
            return user_words()
        except Exception as error:  # the user's file may raise anything; a device without it is better than none
            self._log("user_commands.py cannot be used: %s: %s" % (type(error).__name__, error))
            return ()

    def _about(self):
        """Return what `agent.info` answers."""
        return (
            ("version", __version__),
            ("board", self._board),
            ("boot", self.boot),
            ("cause", self._cause),
            ("uptime_s", self.clock.uptime_ms // 1000),
            ("free_bytes", _free_bytes()),
        )

    def _report(self):
        interval_ms = self._status_interval_ms
        if interval_ms == 0 or self.clock.uptime_ms < self._next_status_ms:
            return
        self._next_status_ms = self.clock.uptime_ms + interval_ms
        print("status: " + json.dumps(self.status()))

    def status(self):
        """Return what an operator wants to see, as a dict of numbers and texts."""
        reading = self.agent.last_reading
        return {
            "boot": self.boot,
            "uptime_ms": self.clock.uptime_ms,
            "state": self.session.state,
            "pending": self.ring.pending + self.urgent.pending,
            "urgent": self.urgent.pending,
            "next_number": self.ring.next_number,
            "sent": self.outbox.sent_records,
            "acked": self.outbox.acked_records,
            "lost": self.ring.lost + self.urgent.lost,
            "reading": reading
            and {"temperature": reading[0] / 100, "pressure": reading[1] / 100, "humidity": reading[2] / 100},
            "commands_done": self.commands.done,
            "commands_refused": self.commands.refused,
            "heap_free": _free_bytes(),
            "error": self.port.network.trouble or self.session.last_error,
        }


def _free_bytes():
    """Return the bytes of heap that could be taken, garbage included; None where there is no such heap."""
    if not compat.is_micropython:
        return None
    gc.collect()
    return gc.mem_free()


def _body_form(encoding):
    """Return the class of bodies in that encoding; the others take no memory."""
    if encoding == "cbor":
        from fieldpost.records.cbor_body import CborBody

        return CborBody
    if encoding == "senml":
        from fieldpost.records.senml_body import SenmlBody

        return SenmlBody
    return JsonBody


def _open_pin(pin, port):
    """Return the pin object that a configured pin stands for; outputs begin at their safe level."""
    direction = pin["direction"]
    if direction == "output":
        return port.output(pin["gpio"], pin["safe"])
    return getattr(port, direction)(pin["gpio"])


def _policy(settings, identity):
    """Return the Policy that the configuration asks for, or None: most devices need none, and it takes memory."""
    if not [value for value in settings.values() if value is not None]:
        return None
    from fieldpost.commands.policy import Policy

    key = identity["command_key"]
    return Policy(settings, key and a2b_base64(key), identity["device_id"])


def open_port(config, identity):
    """Return the Port of the machine that the configuration names (ports/esp32.py, rp2.py, linux.py)."""
    name = "fieldpost.ports." + config["port"]
    __import__(name)
    return sys.modules[name].Port(config, identity)
