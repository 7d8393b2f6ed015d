"""Any flash content to a state, without writing a bit; and what a start asks of a ring about the boots before it.

A cut during recovery is therefore the same as no recovery: a fluttering supply can neither wear a
sector nor eat the ring. Whatever needs repair waits for the first append.
"""

from fieldpost.compat import const
from fieldpost.errors import RegionUnusable
from fieldpost.limits import RECORD_BYTES_MAX, RING_SECTORS_MAX, RING_SECTORS_MIN
from fieldpost.ring import frame, sector
from fieldpost.ring.directory import sector_of, walks
from fieldpost.ring.search import newest_header, rotten_headers
from fieldpost.ring.walk import Walk, is_blank

# Sectors behind the newest one known that are looked at because their own header may have rotted.
_HEADERLESS_MAX = const(2)
# Fewer wrong bits than a header of the lap before has in its CRC alone, but for one in some ten thousand.
_ROTTEN_BITS_MAX = const(6)
# More numbers than damage in one sector can have used up.
_JUMP_MAX = const(65_536)
_ALIGNED_OVERHEAD_BYTES = const(12)  # of the smallest frame, where units are smaller than that


class State:
    """What the flash says.

    sectors: how many the ring has; fewer than the region if that has grown
    newest: sequence number of the newest sector, or -1 if the region holds no ring
    age, ring_id: of that sector
    next_number: what the next record will be called
    newest_whole: the last number whose record is known to have been whole
    cursor, lost: the newest pair that was committed
    tail_page: first page of the newest sector that nothing has touched; pages per sector = begin a new one
    damaged: stretches of the scanned sectors that failed their CRC; headers, if all of them did
    """

    def __init__(self, sectors):
        self.sectors = sectors
        self.newest = -1
        self.age = 0
        self.ring_id = 0
        self.next_number = 1
        self.newest_whole = 0
        self.cursor = 0
        self.lost = 0
        self.tail_page = 0
        self.damaged = 0


def check_geometry(region):
    """Raise RegionUnusable unless a ring can lie there."""
    if not RING_SECTORS_MIN <= region.sector_count <= RING_SECTORS_MAX:
        raise RegionUnusable(
            "a ring takes %d to %d sectors, the region has %d"
            % (RING_SECTORS_MIN, RING_SECTORS_MAX, region.sector_count)
        )
    if frame.size(RECORD_BYTES_MAX, frame.alignment(region.unit_bytes)) > region.page_bytes:
        raise RegionUnusable("pages of %d bytes cannot hold a record" % region.page_bytes)


def recover(region, page):
    """Return the State of `region`. page: memoryview of page_bytes, scratch.

    Reads about log2(sectors) headers and the newest sector; more only if headers are damaged. Raises RegionUnusable.
    """
    state = State(region.sector_count)
    header = newest_header(region, page[: sector.HEADER_BYTES])
    if header is None:
        state.damaged = rotten_headers(region, page[: sector.HEADER_BYTES])
        return state
    state.sectors, state.age, state.ring_id, state.lost, state.newest, state.next_number, state.cursor = header
    scan = _Scan(region, state, page)
    scan.sector(state.newest)
    sequence = state.newest
    while sequence < min(state.newest + _HEADERLESS_MAX, header[sector.SEQUENCE] + state.sectors - 1):
        sequence += 1
        if scan.holds_frames_without_header(sequence):
            state.age = _age_of(state, sequence)
            state.newest = sequence
            scan.is_next_spoiled = False
            scan.sector(sequence)
            state.tail_page = region.sector_bytes // region.page_bytes
    if state.next_number == 1:
        # Nothing was ever stored, so a cut may have left this header half held, and no other one tells of the ring.
        state.tail_page = region.sector_bytes // region.page_bytes
    scan.numbers_without_header(state.newest + 1)
    if scan.is_next_spoiled:
        state.tail_page = region.sector_bytes // region.page_bytes
    state.newest_whole = max(state.next_number - 1, state.cursor)
    # Damage at the tail is a record that was cut or has rotted: its number is never given to another.
    state.next_number = max(state.next_number + scan.torn, state.cursor + 1)
    return state


def newest_payload(ring):
    """Return the payload (memoryview) of the newest record that is whole, or None.

    Reads backwards from the page where the ring goes on: a supply that fluttered may have left nothing whole there.
    """
    page = memoryview(bytearray(ring.region.page_bytes))
    newest = length = -1
    last_page = min(ring.open_page, ring.pages_per_sector - 1)
    for sequence in range(ring.newest, ring.oldest_sector - 1, -1):
        for walk in walks(ring, sequence, page, range(last_page, -1, -1)):
            while walk.next():
                if page[walk.offset] != frame.KIND_ACK:
                    newest, length = walk.offset + frame.HEAD_BYTES, walk.length
            if newest >= 0:
                return page[newest : newest + length]
        last_page = ring.pages_per_sector - 1
    return None


def last_confirmed_sector(ring):
    """Return the sequence number of the sector that holds the last record that a hub has confirmed, -1 if none has."""
    if ring.cursor == 0 or ring.newest < 0:
        return -1
    return sector_of(ring, ring.cursor, memoryview(bytearray(ring.region.page_bytes)))


def confirmed_from(ring, first, last):
    """Yield (kind, payload) of what was confirmed in the sectors from sequence number `first` to `last`.

    payload: memoryview from there to the end of its page, valid until the next.
    """
    page = memoryview(bytearray(ring.region.page_bytes))
    for sequence in range(max(first, ring.oldest_sector), last + 1):
        for walk in walks(ring, sequence, page):
            while walk.next():
                offset = walk.offset
                kind = page[offset]
                if kind != frame.KIND_ACK:
                    if frame.number_before(page, offset, ring.next_number) > ring.cursor:
                        return
                    yield kind, page[offset + frame.HEAD_BYTES :]


class _Scan:
    """Walks whole sectors. torn: numbers that damage since the last whole record may have used up.

    is_next_spoiled: whether the place behind the newest sector is neither blank nor what it was a lap ago. A header
    of this lap may stand there, cut late, that reads as valid the next time: it would then hide what came before it.
    So nothing more is to be written before that place has been erased.
    """

    def __init__(self, region, state, page):
        self._region = region
        self._state = state
        self._page = page
        self._pages = region.sector_bytes // region.page_bytes
        self._align = frame.alignment(region.unit_bytes)
        self._walk = Walk(page, self._align)
        self._sector = -1  # of the sector that `_seed` is for
        self._seed = 0
        self.torn = 0
        self.is_next_spoiled = False

    def sector(self, sequence):
        """Take from the frames of a sector what they say."""
        state = self._state
        state.tail_page = 0
        damaged = state.damaged
        walk = self._walk
        for index in range(self._pages):
            self._begin(sequence, index)
            if index and is_blank(self._page, 0):
                continue
            state.tail_page = index + 1
            while walk.next():
                if walk.damage_end > walk.damage_start:
                    self._damage()
                self._frame()
            self._damage()
        if state.damaged > damaged + 1:
            state.tail_page = self._pages  # neighbours were disturbed: this sector is not to be trusted with more

    def holds_frames_without_header(self, sequence):
        """Return whether the place of `sequence` has frames of that life, although its header was not valid.

        A header of this very life may be valid now: its program was cut late, and bits read as they like.
        """
        start = sequence % self._state.sectors * self._region.sector_bytes
        self._region.read(start, self._page)
        header = sector.unpack(self._page[: sector.HEADER_BYTES])
        if (header is not None and header[sector.SEQUENCE] != sequence) or is_blank(self._page, 0):
            return False
        if sequence == self._state.newest + 1:
            self.is_next_spoiled = True
        for index in range(self._pages):
            self._begin(sequence, index)
            if self._walk.next():
                return True
        return False

    def numbers_without_header(self, sequence):
        """Retire the numbers that the first page of `sequence` gave away, if nothing whole is left of it.

        A sector whose erase was cut looks much like one whose first page is gone. That it was opened tells a
        header with a few wrong bits, or, where the ring itself was the last to write, that no other page was used.
        """
        state = self._state
        if state.tail_page < self._pages:
            return  # no other sector was opened yet
        self._begin(sequence, 0)
        after_header = frame.aligned(sector.HEADER_BYTES, self._align)
        head = self._page[: sector.HEADER_BYTES]
        if is_blank(self._page, after_header) or sector.unpack(head) is not None:
            return
        age, first_number = _age_of(state, sequence), state.next_number + self.torn
        expected = bytearray(sector.HEADER_BYTES)
        sector.pack(expected, state.sectors, age, state.ring_id, state.lost, sequence, first_number, state.cursor)
        if _differing_bits(head, expected) > _ROTTEN_BITS_MAX:
            if age < state.sectors - 1:
                return
            for index in range(1, self._pages):
                self._begin(sequence, index)
                if not is_blank(self._page, 0):
                    return
            self._begin(sequence, 0)
        while self._walk.next():
            self._damage()
        self._damage()

    def _begin(self, sequence, index):
        region = self._region
        if sequence != self._sector:
            self._sector = sequence
            self._seed = frame.seed(self._state.ring_id, sequence)
        region.read(
            sequence % self._state.sectors * region.sector_bytes + index * region.page_bytes,
            self._page,
        )
        self._walk.begin(index, self._seed)

    def _frame(self):
        state = self._state
        offset = self._walk.offset
        if self._page[offset] == frame.KIND_ACK:
            # It may name numbers that damage has used up; one from a wrong place of its own sector is older.
            cursor = frame.number_before(self._page, offset, state.next_number + _JUMP_MAX)
            if cursor > state.cursor:
                start = offset + frame.HEAD_BYTES
                state.cursor = cursor
                state.lost = int.from_bytes(self._page[start : start + 4], "little")
            return
        number = _number_from(self._page, offset, state.next_number)
        # A frame that was written to a wrong place of its own sector would seem to be 2^32 ahead.
        if number - state.next_number < _JUMP_MAX:
            state.next_number = number + 1
            self.torn = 0

    def _damage(self):
        walk = self._walk
        if walk.damage_end > walk.damage_start:
            self._state.damaged += 1
            self.torn += _records_torn(
                self._page, walk.damage_start, walk.damage_end, self._state.next_number + self.torn, self._align
            )


def _age_of(state, sequence):
    """Return the age that the header of a later sector gives; sequence 0 holds no records and does not count."""
    return min(state.age + sequence - max(state.newest, 1), sector.AGE_MAX)


def _number_from(page, offset, first):
    """Return the number that the frame at `offset` names: the lowest from `first` on with those 32 bits."""
    low = _low_bits(page, offset)
    return low if first <= low and first < 0x40000000 else first + ((low - first) & 0xFFFFFFFF)


def _records_torn(page, offset, end, number, align):
    """Return how many record numbers the damage from `offset` to `end` of `page` may have used up.

    number: the one that comes next. One, if what can be read of the head fits a single frame that was cut
    or has rotted; none, if that was an acknowledgement; else as many as could stand there.
    """
    extent = end - offset
    length = page[offset + 1]
    if frame.size(length, align) >= extent:
        if page[offset] == frame.KIND_ACK and length == 4:
            return 0
        if page[offset] <= frame.KIND_MAX and _low_bits(page, offset) == number & 0xFFFFFFFF:
            return 1
    return max(1, extent // max(align, _ALIGNED_OVERHEAD_BYTES))


def _differing_bits(one, other):
    """Return in how many bits two headers differ."""
    return bin(int.from_bytes(one, "little") ^ int.from_bytes(other, "little")).count("1")


def _low_bits(page, offset):
    """Return the 32 bits of its number that the frame at `offset` holds."""
    return int.from_bytes(page[offset + 2 : offset + 6], "little")
