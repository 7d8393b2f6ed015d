"""How many readings of a BME280 a region holds, appended as the agent appends them."""

from dataclasses import dataclass

from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.records import schema
from fieldpost.records.reading_schema import ReadingSchema
from fieldpost.ring.log import Ring
from fieldpost.sensors.bme280 import Bme280

from host_tools.bench import RecordsDiffer
from host_tools.bench.flash_part import SECTOR_BYTES, MeteredFlash, Tally

_SECTORS = 1024 * 1024 // SECTOR_BYTES
_BOOT = 7
_UTC_MS = 1_750_000_000_000


@dataclass(frozen=True)
class Readings:
    """bytes_each: flash that one reading with its frame takes. per_mib: readings that 1 MiB holds for certain."""

    bytes_each: int
    per_mib: int


def measure() -> Readings:
    """Fill 1 MiB with readings until the oldest sector has just been given away, and count what is held."""
    flash = MeteredFlash(_SECTORS, unit_bytes=4)
    ring = Ring(flash)
    layout = ReadingSchema(Bme280.schema)
    buffer = memoryview(bytearray(RECORD_BYTES_MAX))
    explained, uptime_ms, sizes = -1, 0, set()
    while ring.newest < _SECTORS + 1:
        uptime_ms += 1000
        second = uptime_ms // 1000
        values = (2150 + second % 700, 98_765 + second % 999, 4800 + second % 99)
        length = schema.pack_reading(buffer, _BOOT, uptime_ms, layout, values)
        before, newest = Tally.of(flash), ring.newest
        ring.append(schema.READING, buffer[:length])
        if ring.newest == newest:
            sizes.add((Tally.of(flash) - before).bytes_programmed)
        if ring.newest != explained:
            # The agent lets each sector tell the schema of its readings and the time of day.
            length = schema.pack_text(buffer, _BOOT, uptime_ms, layout.text.encode())
            ring.append(schema.SCHEMA, buffer[:length])
            length = schema.pack_anchor(buffer, _BOOT, uptime_ms, _UTC_MS + uptime_ms)
            ring.append(schema.ANCHOR, buffer[:length])
            explained = ring.newest
    if len(sizes) != 1:
        raise RecordsDiffer(f"readings of one sensor take different sizes on flash: {sorted(sizes)}")
    return Readings(sizes.pop(), _count(ring, buffer))


def _count(ring: Ring, buffer: memoryview) -> int:
    reader = ring.reader()
    count = 0
    while reader.next(buffer) >= 0:
        count += reader.kind == schema.READING
    return count
