"""A device's commands without the device: pins that count, a ring that is a list, answers that are kept."""

import json

from fieldpost.commands.context import Context
from fieldpost.commands.executor import Commands
from fieldpost.commands.journal import Journal
from fieldpost.commands.outputs import Outputs
from fieldpost.commands.vocabulary import Vocabulary
from fieldpost.records.reading_schema import ReadingSchema

PINS = {
    "relay": {
        "safe": 0,
        "commands": ["gpio.set", "gpio.get", "gpio.pulse", "gpio.toggle", "gpio.pattern"],
        "pulse_max_ms": 10_000,
    },
    "led": {"safe": 1, "commands": ["gpio.set"], "pulse_max_ms": 10_000},
    "button": {"safe": None, "commands": ["gpio.get"], "pulse_max_ms": 10_000},
}


class Agent:
    """What the words ask of an agent."""

    def __init__(self):
        self.last_reading = None
        self.reading_schema = ReadingSchema("temperature,i2,-2,C;pressure,u3,-2,hPa")


class Pin:
    """machine.Pin as far as outputs use it; `edges` are the levels that it changed to."""

    def __init__(self, level=0):
        self.level = level
        self.edges = []
        self.writes = 0
        self.is_broken = False

    def value(self, level=None):
        if level is None:
            return self.level
        if self.is_broken:
            raise OSError(5)
        self.writes += 1
        if level != self.level:
            self.edges.append(level)
        self.level = level


class ListRing:
    """What the journal asks of a ring, over a list; `records` outlive the ring like flash does."""

    def __init__(self, records, is_worn=False):
        self.records = records
        self.is_worn = is_worn

    def append(self, kind, payload):
        if self.is_worn:
            raise OSError("flash does not hold what is programmed")
        self.records.append((kind, bytes(payload)))
        return len(self.records)

    def reader(self):
        return ListReader(self.records)


class ListReader:
    def __init__(self, records):
        self._records = records
        self.number = 0
        self.kind = 0
        self.payload = b""

    def next(self):
        if self.number == len(self._records):
            return -1
        self.kind, self.payload = self._records[self.number]
        self.number += 1
        return len(self.payload)


class Boot:
    """One boot of the device: `ring` and `answers` outlive it, all else is new.

    now_ms starts at 0; utc_ms is what the clock says, None while it is not known.
    """

    def __init__(self, ring=None, answers=None, pins=None, settings=PINS, words=(), queue=None, policy=None):
        self.ring = ListRing([]) if ring is None else ring
        self.answers = [] if answers is None else answers
        self.pins = pins or {name: Pin(settings[name]["safe"] or 0) for name in settings}
        self.acknowledged = []
        self.now_ms = 0
        self.utc_ms = 1_800_000_000_000
        self.outputs = Outputs(settings, self.pins)
        self.context = Context(self.outputs, queue, Agent(), lambda: (("version", "1"), ("boot", 3)))
        self.commands = Commands(
            Vocabulary(settings, words),
            self.context,
            Journal(self.ring),
            self.store_answer,
            lambda: self.utc_ms,
            policy,
        )
        self.commands.done_callback = lambda token, status, answer: self.acknowledged.append(token)

    def store_answer(self, text):
        self.answers.append(json.loads(str(text, "utf-8")))

    def send(self, command_id, name, token=0, expires_ms=None, proof=None, **arguments):
        return self.commands.submit(command_id, name, arguments, expires_ms, token, proof)

    def run(self, duration_ms=0):
        """Step until `duration_ms` have passed, every 10 ms, and at least until nothing is left to begin."""
        end_ms = self.now_ms + duration_ms
        while True:
            self.commands.step(self.now_ms)
            if self.commands.wait_ms(self.now_ms) == 0:
                continue
            if self.now_ms >= end_ms:
                return
            self.now_ms += 10

    def statuses(self):
        return [answer["status"] for answer in self.answers]

    def last_reason(self):
        return self.answers[-1]["result"]["reason"]
