"""Records to one message body, written where it leaves from. Its form is the renderer's: see records.renderer."""

from fieldpost.limits import BATCH_TAIL_BYTES_MAX, LOST_RANGES_PER_BATCH_MAX


class Batch:
    """One body under construction. records_max, bytes_max: when it is full.

    What is in neither this body nor any other is told in it as lost: overwritten before it could leave, or damaged.
    """

    def __init__(self, renderer, records_max, bytes_max):
        self._renderer = renderer
        self._buffer = None
        self._bytes_max = bytes_max
        self._records_max = records_max
        self._lost_ranges = []

    def set_records_max(self, records_max):
        """Take another number of records that make it full; return it."""
        self._records_max = records_max
        return records_max

    def begin(self, first, buffer):
        """Start a body whose first number, delivered or lost, is `first`, at the beginning of `buffer` (memoryview)."""
        self._buffer = buffer
        self._room = min(self._bytes_max, len(buffer)) - BATCH_TAIL_BYTES_MAX
        self.first = first
        self.last = first - 1
        self.lost = 0
        self.records = 0
        self._lost_ranges.clear()
        self._is_finished = False
        self._length = 0
        self._write(self._renderer.begin())

    @property
    def is_empty(self):
        """Whether the body says nothing yet."""
        return self.last < self.first

    @property
    def is_full(self):
        """Whether no record more is wanted."""
        return self.records == self._records_max

    def add(self, number, kind, payload):
        """Add record `number`; numbers passed over are lost. False if it has no room: nothing changed."""
        assert not self._is_finished
        gap = number - self.last - 1
        assert gap >= 0
        renderer = self._renderer
        data = renderer.record(number, kind, payload)
        # Room for the end as it now is, and for one gap more.
        ranges = len(self._lost_ranges) + (2 if gap else 1)
        if self._length + len(data) + 1 > self._room - ranges * renderer.range_bytes:
            return False
        if gap and not self._add_lost(self.last + 1, number - 1):
            return False
        if self.records:
            self._write(renderer.separator)
        self._write(data)
        self.records += 1
        self.last = number
        return True

    def add_lost_through(self, number):
        """Note that everything after the last record and up to `number` is lost."""
        if number > self.last and self._add_lost(self.last + 1, number):
            self.last = number

    def body(self):
        """Finish the body and return it, a memoryview of the buffer; asked again, the same."""
        if not self._is_finished:
            self._is_finished = True
            self._write(self._renderer.end(self._lost_ranges))
        return self._buffer[: self._length]

    def message_id(self, ring_id):
        """Return the id of this content: the same records give the same id, always."""
        text = "%08x-%d-%d" % (ring_id, self.first, self.last)
        return "%s-%d" % (text, self.lost) if self.lost else text

    def _add_lost(self, first, last):
        if len(self._lost_ranges) == LOST_RANGES_PER_BATCH_MAX:
            return False
        self._lost_ranges.append((first, last))
        self.lost += last - first + 1
        return True

    def _write(self, data):
        end = self._length + len(data)
        self._buffer[self._length : end] = data
        self._length = end
