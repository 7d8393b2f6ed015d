"""What a boot writes into a ring can be understood from that ring alone, wherever a reader begins."""

import json

from fieldpost.clock import Clock
from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.records import schema
from fieldpost.records.earlier import last_boot
from fieldpost.records.json_body import JsonBody
from fieldpost.records.reading_schema import ReadingSchema
from fieldpost.records.recorder import Recorder
from fieldpost.records.schemas import Schemas
from fieldpost.records.timeline import Timeline
from fieldpost.ring.log import Ring
from support import tell_time

from host_tools.emulator.nor_flash import NorFlash

UTC_MS = 1_795_447_452_123
LAYOUT = "temperature,i2,-2,C;pressure,u3,-2,hPa;humidity,u2,-2,%"


def new_ring(sectors=4):
    return Ring(NorFlash(sectors * 1024, sector_bytes=1024))


def kinds(ring):
    reader = ring.reader()
    payload = memoryview(bytearray(RECORD_BYTES_MAX))
    found = []
    while reader.next(payload) >= 0:
        found.append(reader.kind)
    return found


def rendered(ring):
    """Return what a reader who knows nothing but the ring makes of each record."""
    body = JsonBody(ring, Timeline(), Schemas())
    reader = ring.reader()
    payload = memoryview(bytearray(RECORD_BYTES_MAX))
    found = []
    while True:
        length = reader.next(payload)
        if length < 0:
            return found
        while not body.is_settled(reader.number, reader.kind, payload[:length]):
            pass
        found.append(json.loads(body.record(reader.number, reader.kind, payload[:length])))


class World:
    def __init__(self, sectors=4):
        self.ring = new_ring(sectors)
        self.clock = Clock(0)
        self.recorder = Recorder(self.ring, 1, self.clock, Timeline())
        self.layout = ReadingSchema(LAYOUT)

    def learn_time(self):
        tell_time(self.clock, UTC_MS)
        self.recorder.learned_time()


def test_a_reader_of_any_kept_sector_finds_schema_and_time():
    world = World()
    world.recorder.boot("power")
    world.recorder.use(world.layout)
    world.learn_time()
    for number in range(400):
        world.clock.advance(number * 10)
        world.recorder.reading(world.layout, (2000 + number, 98_000, 4800))
    found = rendered(world.ring)
    readings = [record for record in found if "temperature" in record]
    assert found[0]["n"] > 100, "the first sectors should have been overwritten"
    assert readings and len(readings) + 1 >= len([record for record in found if "event" not in record])
    assert not [record for record in found if record.get("event") == "reading"], "a reading without its schema"
    assert all(record["t"] == UTC_MS + record["up"] for record in found)


def test_time_learned_late_counts_for_the_whole_boot():
    world = World()
    world.recorder.text(schema.ALARM, b'{"alarm":"sensor"}')
    world.clock.advance(1000)
    world.learn_time()
    assert [record["t"] for record in rendered(world.ring)] == [UTC_MS - 1000, UTC_MS]


def test_a_ring_that_this_boot_has_not_used_gets_no_anchor_before_it_needs_one():
    world = World()
    world.learn_time()
    assert kinds(world.ring) == []
    world.recorder.text(schema.RESULT, b'{"id":"1"}')
    world.recorder.text(schema.RESULT, b'{"id":"2"}')
    assert kinds(world.ring) == [schema.ANCHOR, schema.RESULT, schema.RESULT], "the anchor stands before what needs it"


def test_each_sector_that_holds_readings_explains_them_before_the_first():
    """Whatever is overwritten next, and wherever a cut ends this boot: no reading stands before its schema."""
    for extra in range(0, 60, 4):
        world = World(sectors=8)
        world.recorder.boot("power")
        world.recorder.use(world.layout)
        world.learn_time()
        world.ring.append(schema.RESULT, b"x" * extra)  # moves where the sectors end
        for number in range(150):
            world.recorder.reading(world.layout, (number, 1, 1))
        reader = world.ring.reader()
        payload = memoryview(bytearray(RECORD_BYTES_MAX))
        explained = set()
        sector = -1
        while reader.next(payload) >= 0:
            if reader._sector != sector:
                sector = reader._sector
                explained.clear()
            explained.add(reader.kind)
            if reader.kind == schema.READING and sector > 1:
                assert schema.SCHEMA in explained and schema.ANCHOR in explained, (extra, sector, reader.number)


def test_a_text_is_durable_and_the_boot_is_found_again():
    world = World()
    world.recorder.text(schema.RESULT, b"{}")
    assert world.ring.synced == 1
    assert last_boot(Ring(world.ring.region)) == 1


def test_a_sensor_that_comes_later_is_explained_before_its_first_reading():
    world = World()
    world.recorder.boot("power")
    for layout in (world.layout, ReadingSchema("level,u2,-1,cm")):
        world.recorder.use(layout)
        world.recorder.reading(layout, (1,) * len(layout.text.split(";")))
    assert [record.get("event") or sorted(record)[-1] for record in rendered(world.ring)] == [
        "boot",
        "schema",
        "up",
        "schema",
        "schema",
        "up",
    ]
