"""Builds the agent of one device from its configuration and its port, and runs it.

The only place that knows both sides: cores that know no machine, and the machine.
"""

import gc
import json
import sys
from binascii import a2b_base64

from fieldpost import compat
from fieldpost.agent import Agent
from fieldpost.clock import Clock
from fieldpost.commands.executor import Commands
from fieldpost.commands.journal import Journal
from fieldpost.commands.outputs import Outputs
from fieldpost.commands.vocabulary import Vocabulary
from fieldpost.hubs.azure import AzureDialect
from fieldpost.limits import GC_THRESHOLD_BYTES
from fieldpost.links.umqtt import UmqttLink
from fieldpost.records import render, schema
from fieldpost.records.schemas import Schemas
from fieldpost.records.timeline import Timeline, last_boot
from fieldpost.ring.log import Ring
from fieldpost.ring.region import SubRegion
from fieldpost.sensors.bme280 import Bme280
from fieldpost.uplink.backoff import Backoff
from fieldpost.uplink.outbox import Outbox
from fieldpost.uplink.session import Session


class Device:
    """A whole device, ready to run. Raises ConfigError, RegionUnusable or OSError if it cannot be built."""

    def __init__(self, config, identity, port, log):
        self.config = config
        self.port = port
        self._log = log
        self._next_status_ms = 0
        self.clock = Clock(compat.ticks_ms())
        hub = config["hub"]
        dialect = AzureDialect(hub["host"], identity["device_id"], identity["key"], self.clock.utc_ms)
        # The largest buffers first, while the heap is still in one piece.
        self.link = UmqttLink(dialect, hub["host"], hub["port"], config["keepalive_s"], a2b_base64(identity["ca_der"]))
        journal_region, queue_region = _split(port.region(), config["ring"]["journal_sectors"])
        self.ring = Ring(queue_region)
        self.timeline = Timeline()
        self.schemas = Schemas()
        boot = last_boot(self.ring) + 1
        self.agent = Agent(
            config,
            self.ring,
            self.clock,
            self.timeline,
            self.schemas,
            boot,
            self._make_sensor,
            port.network,
            port.ask_time_ms,
            log,
        )
        self.outputs = Outputs(config["pins"], _open_pins(config["pins"], port))
        self.commands = Commands(
            Vocabulary(config["pins"]),
            self.outputs,
            Journal(Ring(journal_region)),
            self.agent.answer,
            self.clock.utc_ms,
        )
        batch = config["batch"]
        self.outbox = Outbox(
            self.ring,
            config["window"],
            self._render,
            dialect,
            batch["records_max"],
            batch["bytes_max"],
            batch["age_ms"],
        )
        self.session = Session(self.link, self.outbox, dialect, self.commands, Backoff(compat.random_below))
        self.commands.done_callback = self.session.command_done
        self.agent.connect(self.session, self.commands)
        self.agent.begin(port.reset_cause())

    def run(self):
        """Run until interrupted; outputs are safe when it ends, however it ends."""
        if compat.is_micropython:
            gc.collect()
            gc.threshold(GC_THRESHOLD_BYTES)
        watchdog = self.port.watchdog()
        try:
            while True:
                wait_ms = self.agent.step(compat.ticks_ms())
                if self.agent.stalled() is None:
                    watchdog.feed()
                self._report()
                self.link.wait(wait_ms)
        finally:
            self.outputs.make_safe()
            self.link.close()

    def _make_sensor(self):
        return Bme280(self.port.i2c(), self.config["sensors"][0]["address"])

    def _render(self, number, kind, payload):
        if not self.timeline.search(self.ring, schema.boot_of(payload), number):
            return None
        if kind == schema.READING and not self.schemas.search(self.ring, payload, number):
            return None
        return render.json_text(number, kind, payload, self.timeline, self.schemas)

    def _report(self):
        interval_ms = self.config["status_interval_ms"]
        if interval_ms == 0 or self.clock.uptime_ms < self._next_status_ms:
            return
        self._next_status_ms = self.clock.uptime_ms + interval_ms
        print("status: " + json.dumps(self.status()))

    def status(self):
        """Return what an operator wants to see, as a dict of numbers and texts."""
        reading = self.agent.last_reading
        return {
            "boot": self.agent.boot,
            "uptime_ms": self.clock.uptime_ms,
            "state": self.session.state,
            "pending": self.ring.pending,
            "next_number": self.ring.next_number,
            "sent": self.outbox.sent_records,
            "acked": self.outbox.acked_records,
            "lost": self.ring.lost,
            "reading": reading
            and {"temperature": reading[0] / 100, "pressure": reading[1] / 100, "humidity": reading[2] / 100},
            "commands_done": self.commands.done,
            "commands_refused": self.commands.refused,
            "heap_used": gc.mem_alloc() if compat.is_micropython else 0,
            "error": self.session.last_error,
        }


def _split(region, journal_sectors):
    """Return (journal, queue): the first sectors of the region and the rest."""
    journal = SubRegion(region, 0, journal_sectors)
    return journal, SubRegion(region, journal_sectors, region.sector_count - journal_sectors)


def _open_pins(pins, port):
    """Return the pin objects by name; outputs begin at their safe level."""
    return {
        name: port.input(pin["gpio"]) if pin["direction"] == "input" else port.output(pin["gpio"], pin["safe"])
        for name, pin in pins.items()
    }


def open_port(config, identity):
    """Return the Port of the machine that the configuration names (ports/esp32.py, rp2.py, linux.py)."""
    name = "fieldpost.ports." + config["port"]
    __import__(name)
    return sys.modules[name].Port(config, identity)
