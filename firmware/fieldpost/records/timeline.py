"""From boot and uptime to the time of day, also for boots before the clock was set.

Boards wake without a clock. When a boot learns the time it appends an anchor, and appends it again in
every sector that it opens. All records of a boot stand together in the ring, so the anchor for a record
is found between the sector before it and the end of its boot, or there is none.
"""

from fieldpost.limits import ANCHORS_REMEMBERED_MAX, SEARCH_RECORDS_MAX
from fieldpost.records import schema
from fieldpost.records.search import Search

_NO_CLOCK = -1


class Timeline:
    """What is known of the clock of each boot; bounded, the boots looked at last are kept."""

    def __init__(self):
        self._boots = []
        self._offsets = []
        self._search = None
        self._wanted = 0
        self._sought = self._boot = 0  # the record that was sought and settled last, and its boot

    def learn(self, boot, uptime_ms, utc_ms):
        """Note that `utc_ms` was the time of day at `uptime_ms` of `boot`."""
        self._set(boot, utc_ms - uptime_ms)

    def utc_ms(self, boot, uptime_ms):
        """Return the time of day in ms since 1970, or None if that boot never learned it."""
        for index in range(len(self._boots)):
            if self._boots[index] == boot:
                offset = self._offsets[index]
                return None if offset == _NO_CLOCK else offset + uptime_ms
        return None

    def is_settled(self, boot):
        """Return whether that boot's clock, or its lack of one, is known."""
        return boot in self._boots

    def search(self, ring, boot, number):
        """Look for the anchor of `boot`, of which record `number` is one; True when it is settled.

        Bounded: call again until it returns True.
        """
        if not self.is_settled(boot):
            if self._search is None or self._wanted != boot:
                self._wanted = boot
                # Nothing of a boot stands before a record of an earlier one.
                is_near = self._boot < boot and self._sought < number <= self._sought + SEARCH_RECORDS_MAX
                start = self._sought + 1 if is_near else ring.search_start(number)
                self._search = Search(ring, start, self._visit)
            if not self._search.step():
                return False
            self._search = None
            if not self.is_settled(boot):
                self.without_clock(boot)
        self._sought = number
        self._boot = boot
        return True

    def _visit(self, kind, payload):
        boot = schema.boot_of(payload)
        if boot == self._wanted and kind == schema.ANCHOR:
            self.learn(boot, schema.uptime_ms_of(payload), schema.anchor_utc_ms(payload))
            return True
        return boot > self._wanted

    def without_clock(self, boot):
        """Note that `boot` never learned the time."""
        self._set(boot, _NO_CLOCK)

    def _set(self, boot, offset):
        if boot in self._boots:
            self._offsets[self._boots.index(boot)] = offset
            return
        if len(self._boots) == ANCHORS_REMEMBERED_MAX:
            self._boots.pop(0)
            self._offsets.pop(0)
        self._boots.append(boot)
        self._offsets.append(offset)
