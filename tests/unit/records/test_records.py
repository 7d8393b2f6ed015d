"""Records to bytes and back, to JSON, and onto the time line."""

import json

from fieldpost.limits import RECORD_BYTES_MAX, RECORD_TEXT_BYTES_MAX, RESULT_TEXT_BYTES_MAX
from fieldpost.records import render, schema
from fieldpost.records.earlier import last_boot
from fieldpost.records.reading_schema import ReadingSchema, decimal
from fieldpost.records.schemas import Schemas
from fieldpost.records.timeline import Timeline
from fieldpost.ring import frame
from fieldpost.ring.log import Ring
from support import raises

from host_tools.emulator.nor_flash import NorFlash, PowerCut

BUFFER = memoryview(bytearray(RECORD_BYTES_MAX))
UTC_MS = 1_795_447_452_123
WEATHER = ReadingSchema("temperature,i2,-2,C;pressure,u3,-2,hPa;humidity,u2,-2,%")


def reading(ring, boot, uptime_ms, values=(2150, 98765, 4800)):
    length = schema.pack_reading(BUFFER, boot, uptime_ms, WEATHER, values)
    return ring.append(schema.READING, BUFFER[:length])


def anchor(ring, boot, uptime_ms, utc_ms):
    length = schema.pack_anchor(BUFFER, boot, uptime_ms, utc_ms)
    return ring.append(schema.ANCHOR, BUFFER[:length])


def new_ring(sectors=4):
    return Ring(NorFlash(sectors * 1024, sector_bytes=1024))


def settle(timeline, ring, boot, number):
    for _ in range(1000):
        if timeline.search(ring, boot, number):
            return
    raise AssertionError("the search never ended")


def known(*schemas):
    found = Schemas()
    for reading_schema in schemas:
        found.add(reading_schema)
    return found


def test_a_reading_keeps_every_value_at_the_ends_of_its_range():
    for values in ((-4000, 30000, 0), (8500, 110000, 10000), (0, 0, 0), (-1, 101325, 4321)):
        length = schema.pack_reading(BUFFER, 0xFFFFFE, (1 << 40) - 1, WEATHER, values)
        found = json.loads("{%s}" % WEATHER.json_members(BUFFER[:length]))
        assert [round(100 * found[name]) for name in ("temperature", "pressure", "humidity")] == list(values)
        assert schema.boot_of(BUFFER) == 0xFFFFFE and schema.uptime_ms_of(BUFFER) == (1 << 40) - 1


def test_a_reading_takes_28_bytes_of_flash():
    assert frame.size(WEATHER.reading_bytes, frame.alignment(1)) == 28


def test_a_value_that_does_not_fit_is_refused():
    for values in ((1 << 15, 0, 0), (-(1 << 15) - 1, 0, 0), (0, 1 << 24, 0), (0, -1, 0)):
        with raises(ValueError):
            schema.pack_reading(BUFFER, 1, 0, WEATHER, values)


def test_a_text_that_is_no_schema_is_refused():
    for text in (
        "",
        "a,i2,0",
        "a,f4,0,C",
        "a,i0,0,C",
        "a,i9,0,C",
        "a,i2,10,C",
        "a,i2,x,C",
        'a",i2,0,C',
        "a,u8,0,C;" * 30 + "a,u1,0,C",
    ):
        with raises(ValueError):
            ReadingSchema(text)


def test_decimals_are_exact():
    cases = (
        (0, -2),
        (5, -2),
        (-5, -2),
        (100, -2),
        (-2150, -2),
        (98765, -2),
        (12345678901, -6),
        (7, 0),
        (-7, 3),
        (1, -9),
    )
    assert [decimal(value, exponent) for value, exponent in cases] == [
        "0.00",
        "0.05",
        "-0.05",
        "1.00",
        "-21.50",
        "987.65",
        "12345.678901",
        "7",
        "-7000",
        "0.000000001",
    ]


def test_readings_of_an_older_firmware_are_read_by_the_schema_it_stored():
    """Goal: whatever schema a reading was written with, it leaves with its values and their names.

    Method: three firmwares write to one ring, each with a schema of its own; a fourth that knows none of them reads.
    The schema stands behind the first reading of its sector, and its sector's beginning may be overwritten.
    """
    ring = new_ring()
    written = {}
    for firmware, text in enumerate(("a,u1,0,x", "b,i4,-3,y;c,u2,1,z", "d,i2,-1,C")):
        reading_schema = ReadingSchema(text)
        sector = -1
        for step in range(40):
            values = [step * 3 + firmware] * len(text.split(";"))
            length = schema.pack_reading(BUFFER, firmware + 1, step, reading_schema, values)
            written[ring.append(schema.READING, BUFFER[:length])] = (text.split(",")[0], values[0])
            if ring.newest != sector:
                length = schema.pack_text(BUFFER, firmware + 1, step, text.encode())
                ring.append(schema.SCHEMA, BUFFER[:length])
                sector = ring.newest
    schemas, timeline = known(WEATHER), Timeline()
    reader = ring.reader()
    payload = memoryview(bytearray(RECORD_BYTES_MAX))
    seen = set()
    while True:
        length = reader.next(payload)
        if length < 0:
            break
        if reader.kind != schema.READING:
            continue
        while not schemas.search(ring, payload[:length], reader.number):
            pass
        found = json.loads(render.json_text(reader.number, schema.READING, payload[:length], timeline, schemas))
        name, value = written[reader.number]
        scale = {"a": 1, "b": 1000, "d": 10}[name]
        assert round(found[name] * scale) == value, (reader.number, found)
        seen.add(name)
    assert "d" in seen and "b" in seen


def test_a_reading_without_any_schema_keeps_its_bytes():
    ring = new_ring()
    other = ReadingSchema("a,u2,0,x")
    length = schema.pack_reading(BUFFER, 1, 5, other, (0x1234,))
    number = ring.append(schema.READING, BUFFER[:length])
    schemas = known(WEATHER)
    assert schemas.search(ring, BUFFER[:length], number)
    found = json.loads(render.json_text(number, schema.READING, BUFFER[:length], Timeline(), schemas))
    assert (found["schema"], found["bytes"]) == (other.id, "3412")


def test_json_of_every_kind_parses_and_names_its_record():
    timeline = Timeline()
    timeline.learn(3, 1000, UTC_MS)
    schemas = known(WEATHER)
    length = schema.pack_reading(BUFFER, 3, 2000, WEATHER, (-2150, 98765, 4805))
    found = json.loads(render.json_text(120, schema.READING, BUFFER[:length], timeline, schemas))
    assert found == {
        "n": 120,
        "t": UTC_MS + 1000,
        "boot": 3,
        "up": 2000,
        "temperature": -21.5,
        "pressure": 987.65,
        "humidity": 48.05,
    }
    length = schema.pack_boot(BUFFER, 4, 12, "watchdog")
    found = json.loads(render.json_text(121, schema.BOOT, BUFFER[:length], timeline, schemas))
    assert found == {"n": 121, "boot": 4, "up": 12, "event": "boot", "cause": "watchdog"}
    length = schema.pack_anchor(BUFFER, 3, 1000, UTC_MS)
    assert json.loads(render.json_text(7, schema.ANCHOR, BUFFER[:length], timeline, schemas))["utc"] == UTC_MS
    length = schema.pack_text(BUFFER, 3, 1000, b'{"id":"a","status":"done"}')
    found = json.loads(render.json_text(8, schema.RESULT, BUFFER[:length], timeline, schemas))
    assert (found["event"], found["id"], found["status"], found["n"]) == ("result", "a", "done", 8)
    length = schema.pack_text(BUFFER, 3, 1000, b'{"alarm":"sensor","state":"raised"}')
    found = json.loads(render.json_text(9, schema.ALARM, BUFFER[:length], timeline, schemas))
    assert (found["event"], found["alarm"], found["n"]) == ("alarm", "sensor", 9)
    length = schema.pack_text(BUFFER, 3, 1000, WEATHER.text.encode())
    found = json.loads(render.json_text(10, schema.SCHEMA, BUFFER[:length], timeline, schemas))
    assert (found["event"], found["schema"]) == ("schema", WEATHER.text)
    found = json.loads(render.json_text(11, 99, bytes(RECORD_BYTES_MAX), timeline, schemas))
    assert (found["event"], found["kind"]) == ("unknown", 99)
    assert (
        len(render.json_text((1 << 48) - 1, 99, b"\xff" * RECORD_BYTES_MAX, timeline, schemas)) <= RECORD_TEXT_BYTES_MAX
    )
    length = schema.pack_text(BUFFER, 3, 0, b"x" * RESULT_TEXT_BYTES_MAX)
    assert length <= RECORD_BYTES_MAX


def test_an_anchor_after_the_reading_is_found():
    ring = new_ring()
    number = reading(ring, 1, 500)
    reading(ring, 1, 1500)
    anchor(ring, 1, 2000, UTC_MS)
    reading(ring, 2, 100)
    timeline = Timeline()
    settle(timeline, ring, 1, number)
    assert timeline.utc_ms(1, 500) == UTC_MS - 1500


def test_an_anchor_that_was_forgotten_still_tells_the_time():
    ring = new_ring()
    anchor(ring, 1, 0, UTC_MS)
    for uptime_ms in range(1000, 20_000, 1000):
        number = reading(ring, 1, uptime_ms)
    ring.forget(number - 1)
    timeline = Timeline()
    settle(timeline, ring, 1, number)
    assert timeline.utc_ms(1, 7) == UTC_MS + 7


def test_a_boot_without_a_clock_is_settled_by_the_next_boot_or_the_end():
    ring = new_ring()
    first = reading(ring, 1, 500)
    second = reading(ring, 2, 500)
    timeline = Timeline()
    settle(timeline, ring, 1, first)
    settle(timeline, ring, 2, second)
    assert timeline.is_settled(1) and timeline.utc_ms(1, 500) is None and timeline.utc_ms(2, 500) is None


def test_a_schema_is_shown_whatever_its_stamp_looks_like():
    length = schema.pack_text(BUFFER, 0x22, 0x2222, WEATHER.text.encode())
    told = json.loads(render.json_text(1, schema.SCHEMA, BUFFER[:length], Timeline(), Schemas()))
    assert told["event"] == "schema" and told["schema"] == WEATHER.text


def test_the_last_boot_is_found_even_behind_acknowledgements():
    ring = new_ring()
    assert last_boot(ring) == 0
    for boot in range(1, 9):
        for uptime_ms in range(6):
            reading(ring, boot, uptime_ms)
        assert last_boot(Ring(ring.region)) == boot
    ring.forget(ring.next_number - 1)
    assert last_boot(Ring(ring.region)) == 8


def test_the_last_boot_is_found_behind_sectors_that_a_fluttering_supply_filled():
    ring = new_ring(6)
    reading(ring, 7, 0)
    flash = ring.region
    for _ in range(9):  # more torn pages than two sectors have
        again = Ring(flash)
        # A new sector begins with an erase and a header.
        flash.cut_at(2 if again.open_page == again.pages_per_sector else 0, after_bytes=9)
        with raises(PowerCut):
            reading(again, 8, 0)
        flash.power_up()
    assert last_boot(Ring(flash)) == 7
