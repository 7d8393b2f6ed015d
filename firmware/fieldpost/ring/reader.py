"""Records in order, oldest first, from any number on.

A reader keeps its own place and one page of RAM. It never stops at damage: what fails its CRC is passed over
and counted, and the jump in the numbers tells the caller what is missing.
"""

from fieldpost.ring import frame
from fieldpost.ring.directory import sector_of
from fieldpost.ring.walk import Walk


class Reader:
    """A place in a ring. `next` goes to a record; `number`, `kind` and `payload` are of that one."""

    def __init__(self, ring):
        self._ring = ring
        self._page = memoryview(bytearray(ring.region.page_bytes))
        self._walk = Walk(self._page, ring.align)
        self.number = 0
        self.kind = 0
        self._from = ring.cursor + 1
        self._sector = -1  # sequence number; the first `next` looks for it
        self._seed = 0
        self._page_index = 0
        self._loaded = False
        self._is_final = False  # whether the page was read when nothing could be added to it any more

    def seek(self, number):
        """Let the next read give the first record whose number is `number` or higher, if it is still kept."""
        self._from = number
        self._loaded = False
        if self._ring.newest >= 0:
            # Before what is kept there may be many sectors of which nothing is left.
            self._enter(sector_of(self._ring, max(number, self._ring.first_kept), self._page))

    @property
    def payload(self):
        """The payload of the record that `next` gave last, as a memoryview valid until the next `next` or `seek`."""
        start = self._walk.offset + frame.HEAD_BYTES
        return self._page[start : start + self._walk.length]

    def next(self, buffer=None):
        """Go to the next record; return the length of its payload, or -1 at the end.

        buffer: RECORD_BYTES_MAX bytes or more, to which the payload is copied, or None.
        """
        ring = self._ring
        if self._sector < ring.oldest_sector:
            # Nothing was there yet, or the sector was given away to make room: go on with what is oldest.
            self.seek(self._from)
        if self._sector < 0:
            return -1
        walk = self._walk
        while True:
            if not self._loaded and not self._enter_page():
                return -1
            is_found = walk.next()
            if not is_found and not self._is_final:
                self._load()  # the page may have grown since it was read, and been left since
                is_found = walk.next()
                if not is_found and not self._is_final:
                    return -1
            if walk.damage_end > walk.damage_start:
                ring.damaged += 1
            if not is_found:
                self._page_index += 1
                self._loaded = False
                continue
            offset = walk.offset
            kind = self._page[offset]
            if kind == frame.KIND_ACK:
                continue
            number = frame.number_before(self._page, offset, ring.next_number)
            if number < self._from:
                continue
            if number > ring.synced:
                walk.again()  # not durable yet: a cut could give its number to another
                return -1
            length = walk.length
            if buffer is not None:
                start = offset + frame.HEAD_BYTES
                buffer[:length] = self._page[start : start + length]
            self.number = number
            self.kind = kind
            self._from = number + 1
            return length

    def _enter_page(self):
        """Load the page that comes next; False if none does yet."""
        if self._page_index == self._ring.pages_per_sector:
            if self._sector == self._ring.newest:
                return False
            self._enter(self._sector + 1)
        self._walk.begin(self._page_index, self._seed)
        self._load()
        return True

    def _load(self):
        ring = self._ring
        start = self._sector % ring.sectors * ring.region.sector_bytes
        self._is_final = self._sector != ring.newest or self._page_index < ring.open_page
        ring.region.read(start + self._page_index * ring.region.page_bytes, self._page)
        self._loaded = True

    def _enter(self, sequence):
        self._sector = sequence
        self._seed = frame.seed(self._ring.ring_id, sequence)
        self._page_index = 0
        self._loaded = False
