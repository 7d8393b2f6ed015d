"""Any flash content to a state, without writing a bit.

A cut during recovery is therefore the same as no recovery: a fluttering supply can neither wear a
sector nor eat the ring. Whatever needs repair waits for the first append.
"""

from fieldpost.compat import const
from fieldpost.ring import frame, sector
from fieldpost.ring.search import newest_header
from fieldpost.ring.walk import Walk, is_blank

# Sectors behind the newest valid header that are looked at because their own header may have rotted.
_HEADERLESS_MAX = const(2)


class State:
    """What the flash says.

    sectors: how many the ring has; fewer than the region if that has grown
    newest: sequence number of the newest sector, or -1 if the region holds no ring
    age, ring_id: of that sector
    next_number: what the next record will be called
    cursor, lost: the newest pair that was committed
    tail_page: first page of the newest sector that nothing has touched; pages per sector = begin a new one
    damaged: stretches of the scanned sectors that failed their CRC
    """

    def __init__(self, sectors):
        self.sectors = sectors
        self.newest = -1
        self.age = 0
        self.ring_id = 0
        self.next_number = 1
        self.cursor = 0
        self.lost = 0
        self.tail_page = 0
        self.damaged = 0


def recover(region, page):
    """Return the State of `region`. page: memoryview of page_bytes, scratch.

    Reads about log2(sectors) headers and the newest sector; more only if headers are damaged. Raises RegionUnusable.
    """
    state = State(region.sector_count)
    header = newest_header(region, page[: sector.HEADER_BYTES])
    if header is None:
        return state
    state.sectors, state.age, state.ring_id, state.lost, state.newest, state.next_number, state.cursor = header
    scan = _Scan(region, state, page)
    scan.sector(state.newest)
    for step in range(1, _HEADERLESS_MAX + 1):
        if scan.holds_frames_without_header(header[sector.SEQUENCE] + step):
            state.age += header[sector.SEQUENCE] + step - state.newest
            state.newest = header[sector.SEQUENCE] + step
            scan.sector(state.newest)
            state.tail_page = region.sector_bytes // region.page_bytes
    # Damage at the tail is a record that was cut or has rotted: its number is never given to another.
    state.next_number = max(state.next_number + scan.torn, state.cursor + 1)
    return state


class _Scan:
    """Walks whole sectors. torn: numbers that damage since the last whole record may have used up."""

    def __init__(self, region, state, page):
        self._region = region
        self._state = state
        self._page = page
        self._pages = region.sector_bytes // region.page_bytes
        self._align = frame.alignment(region.unit_bytes)
        self._walk = Walk(page, self._align)
        self.torn = 0

    def sector(self, sequence):
        """Take from the frames of a sector what they say."""
        state = self._state
        state.tail_page = 0
        damaged = state.damaged
        for index in range(self._pages):
            self._begin(sequence, index)
            while self._walk.next():
                self._damage()
                self._frame()
            self._damage()
            if index == 0 or not is_blank(self._page, 0):
                state.tail_page = index + 1
        if state.damaged > damaged + 1:
            state.tail_page = self._pages  # neighbours were disturbed: this sector is not to be trusted with more

    def holds_frames_without_header(self, sequence):
        """Return whether the place of `sequence` has frames of that life, although its header is not valid."""
        start = sequence % self._state.sectors * self._region.sector_bytes
        self._region.read(start, self._page)
        if sector.unpack(self._page[: sector.HEADER_BYTES]) is not None or is_blank(self._page, 0):
            return False
        for index in range(self._pages):
            self._begin(sequence, index)
            if self._walk.next():
                return True
        return False

    def _begin(self, sequence, index):
        region = self._region
        region.read(
            sequence % self._state.sectors * region.sector_bytes + index * region.page_bytes,
            self._page,
        )
        start = 0 if index else frame.aligned(sector.HEADER_BYTES, self._align)
        self._walk.begin(start, frame.seed(self._state.ring_id, sequence))

    def _frame(self):
        state = self._state
        offset = self._walk.offset
        if self._page[offset] == frame.KIND_ACK:
            state.cursor = frame.number_before(self._page, offset, state.next_number + self.torn)
            start = offset + frame.HEAD_BYTES
            state.lost = int.from_bytes(self._page[start : start + 4], "little")
        else:
            state.next_number = frame.number_from(self._page, offset, state.next_number) + 1
            self.torn = 0

    def _damage(self):
        walk = self._walk
        if walk.damage_end > walk.damage_start:
            self._state.damaged += 1
            self.torn += frame.records_torn(
                self._page, walk.damage_start, walk.damage_end, self._state.next_number + self.torn, self._align
            )
