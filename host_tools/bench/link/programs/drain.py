"""fieldpost's own way out, for both interpreters: ring, outbox, session and link, a backlog behind them.

    micropython drain.py ARGUMENTS_FILE

The file holds JSON: host, port, device, key, ca (base64 DER), ring (a file, see backlog.py), records_max, bytes_max,
window, seconds (0: until nothing waits), live_ms (0, or append a reading so often), order ("oldest" or "live"),
endless (go on for ever). Prints one JSON object.
"""

import gc

if hasattr(gc, "threshold"):
    gc.threshold(4096)  # the imports leave garbage between what stays, and TLS wants its memory in one piece

import json
import sys
import time
from binascii import a2b_base64

from fieldpost import compat
from fieldpost.clock import Clock
from fieldpost.hubs.azure import AzureDialect
from fieldpost.links import tls
from fieldpost.links.umqtt import UmqttLink
from fieldpost.modules import unload
from fieldpost.records.earlier import last_boot
from fieldpost.records.json_body import JsonBody
from fieldpost.records.reading_schema import ReadingSchema
from fieldpost.records.recorder import Recorder
from fieldpost.records.schemas import Schemas
from fieldpost.records.timeline import Timeline
from fieldpost.ring.log import Ring
from fieldpost.uplink.backoff import Backoff
from fieldpost.uplink.lane import Lane
from fieldpost.uplink.outbox import Outbox
from fieldpost.uplink.pace import Pace
from fieldpost.uplink.session import READY, Session

_STEPS_PER_SAMPLE = 16  # asking for the heap in use walks all of it
_AGE_MS = 500
_GC_THRESHOLD_BYTES = 16_384  # as main.py on boards
_SCHEMA = "temperature,i2,-2,C;pressure,u3,-2,hPa;humidity,u2,-2,%"


class FileFlash:
    """A region in a file: the part on the board's bus, and none of its heap."""

    sector_bytes = 4096
    page_bytes = 256
    unit_bytes = 4
    is_cached = False
    group_records = 1

    def __init__(self, path):
        self._file = open(path, "r+b") if compat.is_micropython else open(path, "r+b", buffering=0)
        self.sector_count = self._file.seek(0, 2) // self.sector_bytes

    def read(self, offset, buffer):
        self._file.seek(offset)
        self._file.readinto(buffer)

    def program(self, offset, data):
        self._file.seek(offset)
        self._file.write(data)

    def erase(self, sector):
        self.program(sector * self.sector_bytes, b"\xff" * self.sector_bytes)

    def sync(self):
        pass


class NoCommands:
    """Nobody sends any."""

    def has_room(self):
        return True

    def is_idle(self):
        return True


class CountingOutbox(Outbox):
    """Counts the messages that were acknowledged."""

    messages = 0

    def acknowledged(self, packet_id):
        self.messages += 1
        super().acknowledged(packet_id)


class Heap:
    """Bytes in use, garbage included; nothing is measured on CPython."""

    def __init__(self):
        self.peak = 0
        self._steps = 0

    def sample(self):
        """Look now and then."""
        self._steps += 1
        if compat.is_micropython and self._steps % _STEPS_PER_SAMPLE == 0:
            self.peak = max(self.peak, gc.mem_alloc())

    def held(self):
        """Return what is in use after a collection."""
        if not compat.is_micropython:
            return 0
        gc.collect()
        return gc.mem_alloc()


def main():
    """Drain until nothing waits, or for as long as was asked."""
    with open(sys.argv[1]) as file:
        asked = json.load(file)
    start = compat.ticks_ms()
    clock = Clock(start)
    clock.learn(int(time.time()) * 1000)
    clock.settle()
    dialect = AzureDialect(asked["host"], asked["device"], asked["key"], clock.utc_ms)
    link = UmqttLink(dialect, asked["host"], asked["port"], 30, tls.client_context([a2b_base64(asked["ca"])]))
    ring = Ring(FileFlash(asked["ring"]))
    schemas, timeline = Schemas(), Timeline()
    recorder = Recorder(ring, last_boot(ring) + 1, clock, timeline)
    unload("fieldpost.ring.recovery")
    unload("fieldpost.ring.search")
    reading_schema = ReadingSchema(_SCHEMA)
    schemas.add(reading_schema)
    recorder.use(reading_schema)
    body = JsonBody(ring, timeline, schemas)
    size = asked["window"], asked["records_max"], asked["bytes_max"], _AGE_MS
    if asked["order"] == "live":
        from fieldpost.uplink.ahead import LiveFirstLane

        lane = LiveFirstLane(ring, body, *size, False)
    else:
        lane = Lane(ring, body, *size)
    lane.pace = Pace()
    outbox = CountingOutbox((lane,), dialect)
    session = Session(link, outbox, dialect, NoCommands(), Backoff(compat.random_below))
    live_ms = asked["live_ms"]
    next_live_ms = 0
    if live_ms:
        recorder.boot("power")
    heap = Heap()
    if compat.is_micropython:
        gc.collect()
        gc.threshold(_GC_THRESHOLD_BYTES)
    ready_ms = done_ms = held = None
    while True:
        now_ms = clock.advance(compat.ticks_ms())
        if live_ms and now_ms >= next_live_ms:
            next_live_ms = now_ms + live_ms
            recorder.reading(reading_schema, (2150, 98765, 4800))
        session.step(now_ms)
        heap.sample()
        if session.state == READY and ready_ms is None:
            ready_ms = now_ms
        if held is None and outbox.messages >= 8:
            held = heap.held()
        if ready_ms is not None and not asked["endless"]:
            done_ms = clock.advance(compat.ticks_ms()) - ready_ms
            if not ring.pending or (asked["seconds"] and done_ms >= asked["seconds"] * 1000):
                break
        link.wait(20)
    messages, readings = outbox.messages, outbox.acked_records
    grown = heap.held() - (held or 0)
    link.close()
    print(
        json.dumps(
            {
                "readings": readings,
                "messages": messages,
                "seconds": done_ms / 1000,
                "heap_peak_bytes": heap.peak,
                "heap_grown_bytes": grown,
                "duplicates": outbox.duplicates_sent,
                "error": session.last_error,
            }
        )
    )


main()
