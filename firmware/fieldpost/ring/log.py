"""The ring: append, read in order, forget; oldest sectors make room for new ones.

    sector:     2         3         4         0         1
            | forgotten | kept    | kept    | open    | erased ahead, or the oldest |
                 cursor ---^                  ^--- next page to program

A record is durable when `append` returns. What the hub has confirmed is forgotten by a cursor that is
appended to the same log and repeated in each sector header; a cursor that lags costs a repeat, never a
record. When the ring is full the oldest sector goes: its numbers are then missing between the cursor
and the oldest record, which is exactly what was lost, whatever cut the power in between.
"""

import os
import struct

from fieldpost.compat import const
from fieldpost.errors import RecordTooLarge
from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.ring import frame, sector
from fieldpost.ring.directory import damaged_pages, first_number, first_number_from, sector_of
from fieldpost.ring.reader import Reader

_LOST_MAX = const(0xFFFF_FFFF)  # the field's; a device that gets there knows what "many" is


class Ring:
    """A queue of numbered records on a flash region (see `ring.region`).

    Opening reads only. Raises RegionUnusable for a geometry that the format cannot hold, and for a region
    that holds a ring which does not fit in it.

    scratch: memoryview of two pages that several rings may share, or None for pages of its own.
    """

    def __init__(self, region, scratch=None):
        # A board takes it off the heap when its rings are open.
        from fieldpost.ring.recovery import check_geometry, recover

        check_geometry(region)
        if scratch is None:
            scratch = memoryview(bytearray(2 * region.page_bytes))
        self.region = region
        self.align = frame.alignment(region.unit_bytes)
        self.pages_per_sector = region.sector_bytes // region.page_bytes
        self._page = scratch[: region.page_bytes]
        self._frame_head = self._page[: frame.HEAD_BYTES]
        self._proof_page = scratch[region.page_bytes : 2 * region.page_bytes]
        self._image = self._proof = self._page  # as long as what was programmed last: most records are as long
        state = recover(region, self._page)
        self.sectors = state.sectors
        self.newest = state.newest  # sequence number of the open sector, -1 for an empty region
        self.ring_id = state.ring_id
        self.next_number = state.next_number
        self.synced = state.next_number - 1  # the last number that is durable; readers go no further
        # The last number whose append has returned. After it damage may have used up some: cut, or rotten, who knows.
        self.newest_whole = state.newest_whole
        self.cursor = state.cursor
        self.lost = state.lost
        self.damaged = state.damaged
        self._age = state.age
        self._seed = frame.seed(self.ring_id, max(self.newest, 0))
        self.oldest_sector = max(self.newest - min(state.age, self.sectors - 1), 0)  # its sequence number
        self._first_kept = 0  # 0: not looked up
        self._doomed_last = -1  # the last number in the sector that goes next, -1: not looked up
        self._is_erased_ahead = False
        # The page that the last boot touched may hold marginal bits: begin on one that nothing touched.
        self.open_page = state.tail_page
        self._offset = 0
        if self.newest < 0:
            self.ring_id = int.from_bytes(os.urandom(4), "little")

    def append(self, kind, payload, sync=True):
        """Store a record and return its number; durable on return.

        kind: 1 to 100, its meaning is the caller's. payload: bytes-like, RECORD_BYTES_MAX at most.
        sync: False leaves it to `sync` to make it durable, on regions that can tell the two apart.
        Raises RecordTooLarge before anything is written, OSError if the flash failed for good.
        """
        assert 1 <= kind <= frame.KIND_MAX
        if len(payload) > RECORD_BYTES_MAX:
            raise RecordTooLarge(len(payload), RECORD_BYTES_MAX)
        number = self.next_number
        try:
            self._commit(kind, number, payload)
            self.newest_whole = number
        finally:
            # Also after a failure: a part of it may be on flash, and no other record may get its number.
            self.next_number = number + 1
        if sync:
            self.sync()
        return number

    def sync(self):
        """Make durable what was appended with sync=False. Raises OSError: nothing is known of it then."""
        self.region.sync()
        self.synced = self.next_number - 1

    def forget(self, through, lost=0):
        """Drop every record up to number `through`: the hub has confirmed them.

        lost: how many numbers newly passed by were reported as lost rather than delivered.
        """
        assert through < self.next_number, through
        if through <= self.cursor:
            return
        lost = min(self.lost + lost, _LOST_MAX)
        self._commit(frame.KIND_ACK, through, struct.pack("<I", lost))
        self.cursor = through
        self.lost = lost

    def maintain(self):
        """Erase the next sector ahead of need, if nothing is kept in it; return whether it did.

        For slack moments: the erase stalls some boards for tens of milliseconds. Does nothing before the
        first append of this boot, so that a fluttering supply cannot spend one erase per boot.
        """
        if self._may_take_all():
            self.open_page = self.pages_per_sector
            return False
        if self._is_erased_ahead or self.newest < 0 or self._offset == 0 or self._keeps_doomed_sector():
            return False
        self._erase(self.newest + 1)
        self._is_erased_ahead = True
        return True

    def opens_sector(self, length):
        """Return whether a record of `length` bytes would be the first of the next sector."""
        if self.newest < 0 or self.open_page == self.pages_per_sector:
            return True
        is_last_page = self.open_page == self.pages_per_sector - 1
        return is_last_page and self._page_is_full(frame.size(length, self.align))

    def leave_sector(self):
        """Let the next record open the next sector."""
        self.open_page = self.pages_per_sector
        self._offset = 0

    def drop_sector(self, sequence):
        """Erase a sector behind the open one; return whether it was one. OSError if the flash refused.

        What was not forgotten in it is lost, and reported as whatever overflows is. To drop several, begin with the
        newest of them, and say `begin_at` in the end.
        """
        if not self.oldest_sector <= sequence < self.newest:
            return False
        lowest = sequence
        while lowest > self.oldest_sector and self._is_headerless(lowest - 1):
            lowest -= 1  # a cut has left it so: come to a third in a row, and no start sees across the gap
        for dropped in range(lowest, sequence + 1):
            _, first = first_number_from(self, dropped + 1, self.newest, self._page)
            first = first or self.next_number
            self._first_kept, self._doomed_last = 0, -1
            self.region.erase(dropped % self.sectors)
            # It has a header all the same: whoever looks for the newest sector takes a gap for the end of a lap. The
            # first number is that of what comes behind, so that a start finds at once what waits.
            self._program_header(
                dropped, max(self._age - (self.newest - dropped), 0), first, min(self.cursor, first - 1)
            )
        self.region.sync()
        return True

    def begin_at(self, sequence):
        """All sectors before that of `sequence` have been dropped."""
        self.oldest_sector = max(self.oldest_sector, min(sequence, self.newest))
        self._first_kept, self._doomed_last = 0, -1

    def reader(self):
        """Return a Reader placed at the oldest record kept."""
        return Reader(self)

    @property
    def oldest(self):
        """The number of the oldest record kept and not forgotten; next_number when there is none."""
        return min(max(self.cursor + 1, self.first_kept), self.next_number)

    @property
    def first_kept(self):
        """The first number that a sector still holds, forgotten or not; next_number for an empty ring."""
        if self.newest < 0:
            return self.next_number
        while self._first_kept == 0:
            self._first_kept = first_number(self, self.oldest_sector, self._page)
            if self._first_kept == 0:
                if self.oldest_sector == self.newest:
                    return self.next_number
                # Nothing in it can be read any more, and nobody will go there.
                self.damaged += damaged_pages(self, self.oldest_sector, self._page)
                self.oldest_sector += 1
        return self._first_kept

    @property
    def pending(self):
        """How many records wait: appended, not lost, not forgotten."""
        return self.next_number - self.oldest

    def search_start(self, number):
        """Return a number at most one sector and at least all of its own sector before `number`."""
        if self.newest < 0:
            return number
        before = max(sector_of(self, number, self._page) - 1, self.oldest_sector)
        return min(first_number(self, before, self._page), number)

    def _commit(self, kind, number, payload):
        """Program one frame and prove it by reading it back; a slot that fails costs the rest of its page."""
        length = frame.size(len(payload), self.align)
        for _ in range(2 * self.pages_per_sector):
            self._make_room(length)
            frame.pack(self._page, self._frame_head, kind, number, payload, self._seed, self.align)
            at = self._page_start() + self._offset
            self._offset = self.region.page_bytes  # should the flash refuse: a part of it may be there
            if self._program(at, length):
                self._offset = at % self.region.page_bytes + length
                return
            self.damaged += 1
            self._leave_page()
        raise OSError("flash does not hold what is programmed: the part is worn out or write-protected")

    def _make_room(self, length):
        """Come to a place where `length` bytes fit in the page; the first page of a sector is partly taken."""
        while self.newest < 0 or self.open_page == self.pages_per_sector or self._page_is_full(length):
            if self.newest < 0 or self.open_page == self.pages_per_sector:
                self._open_next_sector()
            else:
                self._leave_page()

    def _page_is_full(self, length):
        return self._offset + length > self.region.page_bytes

    def _leave_page(self):
        self.open_page += 1
        self._offset = 0

    def _page_start(self):
        return self.newest % self.sectors * self.region.sector_bytes + self.open_page * self.region.page_bytes

    def _program(self, offset, length):
        """Program the head of the page buffer; return whether the flash holds it, as far as a read can tell."""
        if len(self._image) != length:
            self._image = self._page[:length]
            self._proof = self._proof_page[:length]
        self.region.program(offset, self._image)
        if self.region.is_cached:
            return True
        self.region.read(offset, self._proof)
        return self._proof == self._image

    def _open_next_sector(self):
        """Go to the next sector whose header holds; one that fails is passed over."""
        if self.newest < 0:
            # One with a header alone comes first: should the first header with records rot, it tells their ring.
            self._open(0, 0)
            self.newest = 0
            self.open_page = self.pages_per_sector  # no place for a record, even if the next one cannot be opened
            self._age = -1
        elif self._may_take_all():
            self.sectors = self.region.sector_count
            self.newest += self.sectors - 1 - self.newest % self.sectors
            self._age = -1
            self._is_erased_ahead = False
        for sequence in range(self.newest + 1, self.newest + 1 + self.sectors):
            self._age = min(self._age + 1, sector.AGE_MAX)
            if self._open(sequence, self._age):
                break
        else:
            raise OSError("no sector of the ring can be opened: the part is worn out or write-protected")
        self.newest = sequence
        self.oldest_sector = max(self.oldest_sector, sequence - min(self._age, self.sectors - 1))
        self._first_kept, self._doomed_last = 0, -1
        self._seed = frame.seed(self.ring_id, sequence)
        self.open_page = 0
        self._offset = frame.aligned(sector.HEADER_BYTES, self.align)

    def _open(self, sequence, age):
        """Erase unless that was done ahead, and program the header; return whether it holds."""
        if not self._is_erased_ahead:
            self._erase(sequence)
        self._is_erased_ahead = False
        return self._program_header(sequence, age, self.next_number, self.cursor)

    def _program_header(self, sequence, age, first, cursor):
        length = frame.aligned(sector.HEADER_BYTES, self.align)
        for index in range(sector.HEADER_BYTES, length):
            self._page[index] = 0xFF
        head = self._page[: sector.HEADER_BYTES]
        sector.pack(head, self.sectors, age, self.ring_id, self.lost, sequence, first, cursor)
        return self._program(sequence % self.sectors * self.region.sector_bytes, length)

    def _is_headerless(self, sequence):
        head = self._page[: sector.HEADER_BYTES]
        self.region.read(sequence % self.sectors * self.region.sector_bytes, head)
        return sector.unpack(head) is None

    def _erase(self, sequence):
        """Give the oldest sector away, if it stands where `sequence` will stand."""
        if self.oldest_sector <= sequence - self.sectors:
            self.oldest_sector = sequence - self.sectors + 1
            self._first_kept = 0
        self.region.erase(sequence % self.sectors)

    def _may_take_all(self):
        """Return whether the region has grown since the ring was made, and the ring is empty."""
        return self.sectors < self.region.sector_count and self.cursor + 1 == self.next_number and self.newest >= 0

    def _keeps_doomed_sector(self):
        """Return whether the sector that goes next holds records that are not forgotten."""
        doomed = self.newest + 1 - self.sectors
        if doomed < self.oldest_sector:
            return False
        if self._doomed_last < 0:
            # The last record in it is the one before the next sector's first.
            _, first = first_number_from(self, doomed + 1, self.newest, self._page)
            self._doomed_last = (first or self.next_number) - 1
        return self._doomed_last > self.cursor
