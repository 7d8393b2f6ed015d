"""Records in order, oldest first, from any number on.

A reader keeps its own place and one page of RAM. It never stops at damage: the rest of the page is passed
over and counted, and the jump in the numbers tells the caller what is missing.
"""

from fieldpost.ring import frame, sector


class Reader:
    """A place in a ring. `next` fills a buffer and sets `number` and `kind`."""

    def __init__(self, ring):
        self._ring = ring
        self._page = memoryview(bytearray(ring.region.page_bytes))
        self.number = 0
        self.kind = 0
        self._from = 0
        self._sector = -1
        self._sequence = 0
        self._seed = 0
        self._page_index = 0
        self._offset = 0
        self._loaded = False
        self._is_final = False  # whether the page was read when nothing could be added to it any more
        self.seek(ring.oldest)

    def seek(self, number):
        """Let the next read give the first record whose number is `number` or higher, if it is still kept."""
        ring = self._ring
        self._from = number
        self._enter(ring.oldest_sector())
        # Sectors are in order of their first numbers: pass over those that end before `number`.
        while self._sector >= 0 and self._sector != ring.newest:
            following = self._following(self._sector)
            if ring.first_numbers[following] > number:
                break
            self._enter(following)

    def next(self, buffer):
        """Copy the next record's payload to `buffer`; return its length, or -1 at the end.

        buffer: RECORD_BYTES_MAX bytes or more. `number` and `kind` describe the record.
        """
        ring = self._ring
        if self._sector < 0 or not ring.holds(self._sector, self._sequence):
            # Nothing was there yet, or the sector was given away to make room: go on with what is oldest.
            self.seek(self._from)
            if self._sector < 0:
                return -1
        while True:
            if self._page_index == ring.pages_per_sector:
                if self._sector == ring.newest:
                    return -1
                self._enter(self._following(self._sector))
                continue
            length = self._frame()
            if length < 0:
                if self._at_open_page():
                    return -1
                self._page_index += 1
                self._offset = 0
                self._loaded = False
                continue
            start = self._offset + frame.HEAD_BYTES
            number = frame.number_at(self._page, self._offset)
            kind = self._page[self._offset]
            self._offset += frame.size(length, ring.align)
            if kind == frame.KIND_ACK or number < self._from:
                continue
            buffer[:length] = self._page[start : start + length]
            self.number = number
            self.kind = kind
            self._from = number + 1
            return length

    def _frame(self):
        """Return the payload length of the frame at this place, or a negative number if there is none."""
        if self._offset + frame.OVERHEAD_BYTES > len(self._page):
            return -1
        if not self._loaded:
            self._load()
        length = frame.check(self._page, self._offset, self._seed)
        if length == -1 and not self._is_final:
            self._load()  # the page may have grown since it was read, and been left since
            length = frame.check(self._page, self._offset, self._seed)
        if length == -2:
            self._ring.damaged_pages += 1
        return length

    def _load(self):
        region = self._ring.region
        region.read(self._sector * region.sector_bytes + self._page_index * region.page_bytes, self._page)
        self._loaded = True
        self._is_final = not self._at_open_page()

    def _at_open_page(self):
        return self._sector == self._ring.newest and self._page_index >= self._ring.open_page

    def _enter(self, index):
        self._sector = index
        self._page_index = 0
        self._loaded = False
        if index >= 0:
            self._sequence = self._ring.sector_sequence(index)
            self._seed = frame.seed(self._ring.ring_id, self._sequence)
            self._offset = frame.aligned(sector.HEADER_BYTES, self._ring.align)

    def _following(self, index):
        ring = self._ring
        index = (index + 1) % ring.region.sector_count
        while ring.first_numbers[index] == 0:
            index = (index + 1) % ring.region.sector_count
        return index
