"""Records of a found ring as JSON objects, as the hub would have got them, with their time of day and schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from fieldpost.limits import STAMP_BYTES
from fieldpost.records import render, schema
from fieldpost.records.reading_schema import ReadingSchema, id_of
from fieldpost.sensors.bme280 import Bme280

from host_tools.queue.scan import FoundRing, Record


class Decoder:
    """Knows the clocks and schemas that the records of `ring` tell of; nothing is searched for any more."""

    def __init__(self, ring: FoundRing) -> None:
        self._offsets: dict[int, int] = {}
        # What this version writes is known even if the record that explains it has gone.
        self._schemas = {known.id: known for known in [ReadingSchema(Bme280.schema)]}
        for record in ring.records:
            if len(record.payload) < STAMP_BYTES:
                continue
            if record.kind == schema.ANCHOR:
                boot, uptime_ms = schema.boot_of(record.payload), schema.uptime_ms_of(record.payload)
                self._offsets[boot] = schema.anchor_utc_ms(record.payload) - uptime_ms
            elif record.kind == schema.SCHEMA:
                self._add_schema(record.payload[STAMP_BYTES:])

    def _add_schema(self, text: bytes) -> None:
        try:
            found = ReadingSchema(text.decode())
        except ValueError:
            return  # of a version to come; its readings keep their bytes
        self._schemas[found.id] = found

    def utc_ms(self, boot: int, uptime_ms: int) -> int | None:
        """Return the time of day, for `render`."""
        offset = self._offsets.get(boot)
        return None if offset is None else offset + uptime_ms

    def of(self, payload: memoryview) -> ReadingSchema | None:
        """Return the schema of a reading, for `render`."""
        return self._schemas.get(id_of(payload))

    def objects(self, records: Iterable[Record]) -> Iterator[dict[str, Any]]:
        """Give each record as the object that the hub would get."""
        for record in records:
            try:
                yield json.loads(render.json_text(record.number, record.kind, memoryview(record.payload), self, self))
            except (ValueError, IndexError):  # of a version to come, or of a program that is not fieldpost
                yield {"n": record.number, "event": "unknown", "kind": record.kind, "bytes": record.payload.hex()}
