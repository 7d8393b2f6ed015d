"""One device: what it is made of, and its loop.

Made by `building` from the configuration and the port: the only two places that know both sides, cores that know no
machine, and the machine.
"""

import gc
import json

from fieldpost import __version__, compat
from fieldpost.limits import GC_THRESHOLD_BYTES
from fieldpost.links.umqtt import UmqttLink
from fieldpost.sensors.bme280 import Bme280
from fieldpost.uplink.session import CONNECTING


class Device:
    """A whole device, ready to run. Raises ConfigError, RegionUnusable or OSError if it cannot be built."""

    link_class = UmqttLink

    def __init__(self, config, identity, port, log):
        from fieldpost.building import build  # needed once: a board unloads it

        # Of the configuration only what is needed later: the rest is let go of when all is made.
        self._sensor = config["sensors"][0]
        self._board = config["board"]
        self._status_interval_ms = config["status_interval_ms"]
        self.port = port
        self._next_status_ms = 0
        self._collects_early = None
        self.led = None
        self.settings = None
        build(self, config, identity, log)
        self.cause = port.reset_cause()
        self.agent.begin(self.cause)

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
        if self.led is not None:
            self.led(self.clock.uptime_ms)
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

    def add_sensors(self):
        """Name the first sensor, and add others."""
        self.agent.samplers[0].name = self._sensor["driver"]

    def make_sensor(self):
        """Return the first sensor; raises SensorError if nothing answers."""
        return Bme280(self.port.i2c(), self._sensor["address"])

    def make_twin(self, channel):
        """Return the TwinRequests of a channel."""
        from fieldpost.late_assembly import make_twin

        return make_twin(self, channel, self.about)

    def open_settings(self):
        """Return the Settings, for now (see kept_settings)."""
        if self.settings is None:
            self.keep_settings(False)
        return self.settings.open()

    def keep_settings(self, is_stored):
        """Let there be settings from afar. is_stored: whether a boot before this one has left some."""
        from fieldpost.commands.kept_settings import KeptSettings  # memory that a device which nobody configures saves

        self.settings = KeptSettings(self._make_settings, is_stored)

    def _make_settings(self):
        from fieldpost.late_assembly import make_settings

        return make_settings(self, self.settings_store, self.readings_lane)

    def about(self):
        """Return what `agent.info` answers."""
        return (
            ("version", __version__),
            ("board", self._board),
            ("boot", self.boot),
            ("cause", self.cause),
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
