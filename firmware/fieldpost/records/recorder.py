"""Writes the records of this boot into one ring, so that each can be understood by whoever reads it later.

A reading needs its schema, a stamp needs the boot's time of day. Both stand in every sector, for the sectors
before it will be overwritten.
"""

from fieldpost.limits import GROUP_AGE_MS_MAX, RECORD_BYTES_MAX, STAMP_BYTES
from fieldpost.records import schema

_NOWHERE = -2  # no sector has this number


class Recorder:
    """Appends to `ring` in the name of boot number `boot`.

    clock: uptime_ms and utc_ms(). timeline: learns this boot's time of day for the records of `ring`.
    scratch: memoryview of RECORD_BYTES_MAX that several recorders may share, or None for one of its own.
    """

    def __init__(self, ring, boot, clock, timeline, scratch=None):
        self.ring = ring
        self._boot = boot
        self._clock = clock
        self._timeline = timeline
        self._schemas = []
        self._payload = memoryview(bytearray(RECORD_BYTES_MAX)) if scratch is None else scratch
        self._record = self._payload  # as much of it as the last record took: most are as long
        self._explained_sector = _NOWHERE
        self._is_used = False
        self._group_since_ms = 0

    def use(self, reading_schema):
        """Explain readings of `reading_schema` from now on."""
        self._schemas.append(reading_schema)
        self._explained_sector = _NOWHERE

    def boot(self, cause):
        """Append the record that says that this boot began, and why (one of schema.CAUSES)."""
        self._append(schema.BOOT, schema.pack_boot(self._payload, self._boot, self._clock.uptime_ms, cause))

    def reading(self, reading_schema, values):
        """Append a reading. values: integers as the schema names them."""
        self._explain(reading_schema.reading_bytes)
        self._append(
            schema.READING,
            schema.pack_reading(self._payload, self._boot, self._clock.uptime_ms, reading_schema, values),
        )

    def text(self, kind, text):
        """Append a RESULT or an ALARM, a JSON object in UTF-8, durable on return."""
        self._explain(STAMP_BYTES + len(text))
        self._append(kind, schema.pack_text(self._payload, self._boot, self._clock.uptime_ms, text))
        self.ring.sync()

    def learned_time(self):
        """The clock has just learned the time of day: records of this boot before this moment have one now."""
        self._timeline.learn(self._boot, self._clock.uptime_ms, self._clock.utc_ms())
        if self._is_used:
            self._anchor()

    def sync_old_group(self):
        """Make durable what has waited for company long enough."""
        ring = self.ring
        if ring.synced < ring.next_number - 1 and self._clock.uptime_ms - self._group_since_ms >= GROUP_AGE_MS_MAX:
            ring.sync()

    def _explain(self, length):
        """See to it that a record of `length` bytes comes to stand in a sector that tells schemas and time of day."""
        ring = self.ring
        while self._explained_sector != ring.newest or ring.opens_sector(length):
            if ring.opens_sector(length):
                ring.leave_sector()
            first_number = ring.next_number
            first_sector = self._tell()
            if ring.next_number == first_number:
                return  # there is nothing to tell yet
            if first_sector == ring.newest:
                self._explained_sector = first_sector  # else it ran over into the next sector: all of it again there

    def _tell(self):
        """Append schemas and time of day; return the sector in which the first of them stands."""
        first_sector = None
        for reading_schema in self._schemas:
            text = reading_schema.text.encode()
            self._append(schema.SCHEMA, schema.pack_text(self._payload, self._boot, self._clock.uptime_ms, text))
            if first_sector is None:
                first_sector = self.ring.newest
        if self._clock.utc_ms() is not None:
            self._anchor()
        return self.ring.newest if first_sector is None else first_sector

    def _anchor(self):
        uptime_ms, utc_ms = self._clock.uptime_ms, self._clock.utc_ms()
        self._append(schema.ANCHOR, schema.pack_anchor(self._payload, self._boot, uptime_ms, utc_ms))

    def _append(self, kind, length):
        """Append what the payload buffer holds; a group of appends is made durable together where that is dear."""
        ring = self.ring
        if ring.synced == ring.next_number - 1:
            self._group_since_ms = self._clock.uptime_ms
        if len(self._record) != length:
            self._record = self._payload[:length]
        ring.append(kind, self._record, sync=False)
        self._is_used = True
        if ring.next_number - 1 - ring.synced >= ring.region.group_records:
            ring.sync()
