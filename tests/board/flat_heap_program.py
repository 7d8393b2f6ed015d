"""Messages by the thousand through recorder, ring, outbox and session on MicroPython; prints the heap held in between.

    micropython flat_heap_program.py MESSAGES ORDER

A reading a message, acknowledged in the next step; the link breaks now and then. Prints one JSON object: messages,
duplicates, and `held`, the bytes in use after a collection at twenty moments.
"""

import gc
import json
import sys
from array import array

from fieldpost.clock import Clock
from fieldpost.hubs.azure import AzureDialect
from fieldpost.records.json_body import JsonBody
from fieldpost.records.reading_schema import ReadingSchema
from fieldpost.records.recorder import Recorder
from fieldpost.records.schemas import Schemas
from fieldpost.records.timeline import Timeline
from fieldpost.ring.log import Ring
from fieldpost.uplink.ahead import LiveFirstLane
from fieldpost.uplink.backoff import Backoff
from fieldpost.uplink.lane import Lane
from fieldpost.uplink.outbox import Outbox
from fieldpost.uplink.pace import Pace
from fieldpost.uplink.session import Session

MESSAGES_PER_CONNECTION = 2_500
SAMPLES = 20


class Memory:
    """A region in RAM."""

    sector_bytes, page_bytes, unit_bytes = 4096, 256, 4
    is_cached, group_records, sector_count = False, 1, 8

    def __init__(self):
        self._bytes = memoryview(bytearray(b"\xff" * (8 * 4096)))
        self._blank = b"\xff" * 4096

    def read(self, offset, buffer):
        buffer[:] = self._bytes[offset : offset + len(buffer)]

    def program(self, offset, data):
        self._bytes[offset : offset + len(data)] = data

    def erase(self, sector):
        self._bytes[sector * 4096 : (sector + 1) * 4096] = self._blank

    def sync(self):
        pass


class Link:
    """A hub within reach: what is published in one step is acknowledged in the next."""

    def __init__(self):
        self.messages = 0
        self._ids = []
        self._events = []
        self._body = memoryview(bytearray(1024))

    def open(self, now_ms, password, handler):
        self._events = [("link_connected",)]

    def close(self):
        self._ids = []

    def subscribe(self, topic, qos, packet_id):
        self._events.append(("link_suback", qos))

    def body(self):
        return self._body

    def publish_body(self, topic, payload, packet_id, dup):
        assert len(topic) > 20 and len(payload) > 20
        self._ids.append(packet_id)
        return True

    def step(self, now_ms, handler):
        for packet_id in self._ids:
            self.messages += 1
            handler.link_puback(packet_id)
        self._ids.clear()
        while self._events:
            handler_name, *given = self._events.pop(0)
            getattr(handler, handler_name)(*given)

    def lose(self):
        self._ids.clear()
        self._events.append(("link_closed", "connection lost"))


class NoCommands:
    """Nobody sends any."""

    def has_room(self):
        return True

    def is_idle(self):
        return True


def main(wanted, order):
    clock = Clock(0)
    clock.learn(1795447452123)
    clock.settle()
    ring = Ring(Memory())
    schemas, timeline = Schemas(), Timeline()
    recorder = Recorder(ring, 1, clock, timeline)
    weather = ReadingSchema("temperature,i2,-2,C;pressure,u3,-2,hPa;humidity,u2,-2,%")
    schemas.add(weather)
    recorder.use(weather)
    recorder.learned_time()
    dialect = AzureDialect("hub.invalid", "device", "a2V5a2V5a2V5a2V5a2V5a2V5", clock.utc_ms)
    body = JsonBody(ring, timeline, schemas)
    if order == "oldest":
        lane = Lane(ring, body, 16, 1, 1024, 0)
    else:
        lane = LiveFirstLane(ring, body, 16, 1, 1024, 0, order == "newest")
    lane.pace = Pace()
    outbox = Outbox((lane,), dialect)
    link = Link()
    session = Session(link, outbox, dialect, NoCommands(), Backoff(lambda limit: limit - 1))
    held = array("I", [0] * SAMPLES)  # a list would grow
    count = 0
    values = (2150, 98765, 4800)
    lost_at = MESSAGES_PER_CONNECTION
    gc.collect()
    while link.messages < wanted:
        clock.uptime_ms += 500
        recorder.reading(weather, values)
        session.step(clock.uptime_ms)
        if link.messages >= lost_at:
            lost_at += MESSAGES_PER_CONNECTION
            link.lose()
        if count < SAMPLES and link.messages >= (count + 1) * wanted // (SAMPLES + 1):
            gc.collect()
            held[count] = gc.mem_alloc()
            count += 1
    print(json.dumps({"messages": link.messages, "duplicates": outbox.duplicates_sent, "held": list(held)}))


main(int(sys.argv[1]), sys.argv[2])
