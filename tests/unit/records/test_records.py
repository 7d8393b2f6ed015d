"""Records to bytes and back, to JSON, and onto the time line."""

import json

from fieldpost.limits import RECORD_BYTES_MAX, RESULT_TEXT_BYTES_MAX
from fieldpost.records import render, schema
from fieldpost.records.timeline import Timeline, last_boot
from fieldpost.ring import frame
from fieldpost.ring.log import Ring

from host_tools.emulator.nor_flash import NorFlash

BUFFER = memoryview(bytearray(RECORD_BYTES_MAX))
UTC_MS = 1_795_447_452_123


def reading(ring, boot, uptime_ms, values=(2150, 98765, 4800)):
    length = schema.pack_reading(BUFFER, boot, uptime_ms, *values)
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


def test_a_reading_keeps_every_value_at_the_ends_of_its_range():
    for values in ((-4000, 30000, 0), (8500, 110000, 10000), (0, 0, 0), (-1, 101325, 4321)):
        length = schema.pack_reading(BUFFER, 0xFFFFFE, (1 << 40) - 1, *values)
        assert schema.unpack_reading(BUFFER[:length]) == values
        assert schema.boot_of(BUFFER) == 0xFFFFFE and schema.uptime_ms_of(BUFFER) == (1 << 40) - 1


def test_a_reading_takes_28_bytes_of_flash():
    assert frame.size(schema.READING_BYTES, frame.alignment(1)) == 28


def test_json_of_every_kind_parses_and_names_its_record():
    timeline = Timeline()
    timeline.learn(3, 1000, UTC_MS)
    length = schema.pack_reading(BUFFER, 3, 2000, -2150, 98765, 4805)
    found = json.loads(render.json_text(120, schema.READING, BUFFER[:length], timeline))
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
    found = json.loads(render.json_text(121, schema.BOOT, BUFFER[:length], timeline))
    assert found == {"n": 121, "boot": 4, "up": 12, "event": "boot", "cause": "watchdog"}
    length = schema.pack_anchor(BUFFER, 3, 1000, UTC_MS)
    assert json.loads(render.json_text(7, schema.ANCHOR, BUFFER[:length], timeline))["utc"] == UTC_MS
    length = schema.pack_result(BUFFER, 3, 1000, b'{"id":"a","status":"done"}')
    found = json.loads(render.json_text(8, schema.RESULT, BUFFER[:length], timeline))
    assert (found["event"], found["id"], found["status"], found["n"]) == ("result", "a", "done", 8)
    length = schema.pack_result(BUFFER, 3, 0, b"x" * RESULT_TEXT_BYTES_MAX)
    assert length <= RECORD_BYTES_MAX


def test_hundredths_are_exact():
    assert [render.hundredths(v) for v in (0, 5, -5, 100, -2150, 98765)] == [
        "0.00",
        "0.05",
        "-0.05",
        "1.00",
        "-21.50",
        "987.65",
    ]


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


def test_the_last_boot_is_found_even_behind_acknowledgements():
    ring = new_ring()
    assert last_boot(ring) == 0
    for boot in range(1, 9):
        for uptime_ms in range(6):
            reading(ring, boot, uptime_ms)
        assert last_boot(Ring(ring.region)) == boot
    ring.forget(ring.next_number - 1)
    assert last_boot(Ring(ring.region)) == 8
