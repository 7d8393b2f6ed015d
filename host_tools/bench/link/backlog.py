"""A ring in a file, full of readings as the agent appends them, and the same readings as JSON lines for the peers."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fieldpost.clock import Clock
from fieldpost.records.reading_schema import ReadingSchema
from fieldpost.records.recorder import Recorder
from fieldpost.records.timeline import Timeline
from fieldpost.ring.log import Ring
from fieldpost.sensors.bme280 import Bme280

from host_tools.emulator.nor_flash import NorFlash

SECTOR_BYTES: Final = 4096
_READINGS_PER_SECTOR: Final = 100  # at least: what explains them stands in every sector, too
_UTC_MS: Final = 1_795_447_452_123
_UPTIME_MS: Final = 123_000
_INTERVAL_MS: Final = 1000


def ring_image(readings: int, interval_ms: int = _INTERVAL_MS) -> bytes:
    """Return flash that holds so many readings of one boot that knows the time of day."""
    flash = NorFlash((readings // _READINGS_PER_SECTOR + 8) * SECTOR_BYTES)
    ring = Ring(flash)
    clock = Clock(0)
    clock.advance(_UPTIME_MS)
    clock.learn(_UTC_MS)
    clock.settle()
    recorder = Recorder(ring, 1, clock, Timeline())
    recorder.boot("power")
    reading_schema = ReadingSchema(Bme280.schema)
    recorder.use(reading_schema)
    recorder.learned_time()
    for number in range(readings):
        clock.uptime_ms += interval_ms
        recorder.reading(reading_schema, _values(number))
    return bytes(flash.memory)


def write_lines(path: Path, count: int) -> None:
    """Write readings as one JSON object a line: what fieldpost says of them in a message."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            uptime_ms = _UPTIME_MS + (number + 1) * _INTERVAL_MS
            values = zip(("temperature", "pressure", "humidity"), _values(number), strict=True)
            members = ",".join(f'"{name}":{value / 100:.2f}' for name, value in values)
            utc_ms = _UTC_MS - _UPTIME_MS + uptime_ms
            file.write(f'{{"n":{number + 1},"t":{utc_ms},"boot":1,"up":{uptime_ms},{members}}}\n')


def _values(number: int) -> tuple[int, int, int]:
    return 2150 + number % 700, 98_765 + number % 999, 4800 + number % 99
