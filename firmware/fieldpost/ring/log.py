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
from array import array

from fieldpost.errors import RecordTooLarge, RegionUnusable
from fieldpost.limits import RECORD_BYTES_MAX, RING_SECTORS_MAX, RING_SECTORS_MIN
from fieldpost.ring import frame, sector
from fieldpost.ring.reader import Reader
from fieldpost.ring.recovery import recover


class Ring:
    """A queue of numbered records on a flash region (see `ring.region`).

    Opening reads only. Raises RegionUnusable for a geometry that the format cannot hold.
    """

    def __init__(self, region):
        _check_geometry(region)
        self.region = region
        self.align = frame.alignment(region.unit_bytes)
        self.pages_per_sector = region.sector_bytes // region.page_bytes
        self._page = memoryview(bytearray(region.page_bytes))
        self._proof = memoryview(bytearray(region.page_bytes))
        state = recover(region, array("I", [0] * region.sector_count), self._page)
        self.first_numbers = state.first_numbers
        self.newest = state.newest
        self.ring_id = state.ring_id
        self.next_number = state.next_number
        self.cursor = state.cursor
        self.lost = state.lost
        self.damaged_pages = state.damaged_pages
        self._sequence = state.sequence
        self._seed = frame.seed(self.ring_id, self._sequence)
        self._erased_ahead = -1
        # The page that the last boot touched may hold marginal bits: begin on one that nothing touched.
        self.open_page = state.tail_page
        self._offset = 0
        if self.newest < 0:
            self.ring_id = int.from_bytes(os.urandom(4), "little")

    def append(self, kind, payload):
        """Store a record and return its number; durable on return.

        kind: 1 to 100, its meaning is the caller's. payload: bytes-like, RECORD_BYTES_MAX at most.
        Raises RecordTooLarge before anything is written, OSError if the flash failed for good.
        """
        assert 1 <= kind <= frame.KIND_MAX
        if len(payload) > RECORD_BYTES_MAX:
            raise RecordTooLarge(len(payload), RECORD_BYTES_MAX)
        number = self.next_number
        self._commit(kind, number, payload)
        self.next_number = number + 1
        return number

    def forget(self, through, lost=0):
        """Drop every record up to number `through`, durably: the hub has confirmed them.

        lost: how many numbers newly passed by were reported as lost rather than delivered.
        """
        assert through < self.next_number, through
        if through <= self.cursor:
            return
        self._commit(frame.KIND_ACK, through, struct.pack("<I", self.lost + lost))
        self.cursor = through
        self.lost += lost

    def maintain(self):
        """Erase the next sector ahead of need, if nothing is kept in it; return whether it did.

        For slack moments: the erase stalls some boards for tens of milliseconds. Does nothing before the
        first append of this boot, so that a fluttering supply cannot spend one erase per boot.
        """
        if self.newest < 0 or self._offset == 0 or self._erased_ahead >= 0:
            return False
        index = (self.newest + 1) % self.region.sector_count
        if self._holds_kept_records(index):
            return False
        self._erase(index)
        return True

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
        index = self.oldest_sector()
        return self.next_number if index < 0 else self.first_numbers[index]

    @property
    def pending(self):
        """How many records wait: appended, not lost, not forgotten."""
        return self.next_number - self.oldest

    def sector_sequence(self, index):
        """Return the sequence number of the sector at place `index`, which holds a valid header."""
        return self._sequence - (self.newest - index) % self.region.sector_count

    def holds(self, index, sequence):
        """Return whether the sector at place `index` still lives the life that `sequence` names."""
        return self.first_numbers[index] != 0 and self.sector_sequence(index) == sequence

    def search_start(self, number):
        """Return the first number of the sector before the one that holds `number`, as far as flash goes back."""
        index = self.oldest_sector()
        start = here = self.first_kept
        while index >= 0 and index != self.newest:
            index = (index + 1) % self.region.sector_count
            first = self.first_numbers[index]
            if first > number:
                break
            if first:
                start, here = here, first
        return start

    def oldest_sector(self):
        """Return the place of the oldest sector with a valid header, or -1."""
        if self.newest < 0:
            return -1
        index = (self.newest + 1) % self.region.sector_count
        while self.first_numbers[index] == 0:
            index = (index + 1) % self.region.sector_count
        return index

    def _commit(self, kind, number, payload):
        """Program one frame and prove it by reading it back; a slot that fails costs the rest of its page."""
        length = frame.size(len(payload), self.align)
        for _ in range(2 * self.pages_per_sector):
            self._make_room(length)
            frame.pack(self._page, kind, number, payload, self._seed, self.align)
            offset = self._page_start() + self._offset
            self.region.program(offset, self._page[:length])
            self._offset += length
            self.region.read(offset, self._proof[:length])
            if self._proof[:length] == self._page[:length]:
                return
            self.damaged_pages += 1
            self._leave_page()
        raise OSError("flash does not hold what is programmed: the part is worn out or write-protected")

    def _make_room(self, length):
        """Come to a place where `length` bytes fit in the page; the first page of a sector is partly taken."""
        while self.newest < 0 or self._offset + length > self.region.page_bytes or self._sector_is_full():
            if self.newest < 0 or self._sector_is_full():
                self._open_next_sector()
            else:
                self._leave_page()

    def _sector_is_full(self):
        return self.open_page == self.pages_per_sector

    def _leave_page(self):
        self.open_page += 1
        self._offset = 0

    def _page_start(self):
        return self.newest * self.region.sector_bytes + self.open_page * self.region.page_bytes

    def _open_next_sector(self):
        """Erase unless that was done ahead, and program the header; a sector that fails is passed over."""
        count = self.region.sector_count
        sequence = self._sequence if self.newest < 0 else self._sequence + 1
        for _ in range(count):
            index = sequence % count
            if self._erased_ahead != index:
                self._erase(index)
            self._erased_ahead = -1
            head = self._page[: sector.HEADER_BYTES]
            sector.pack(head, count, self.ring_id, sequence, self.next_number, self.cursor, self.lost)
            offset = index * self.region.sector_bytes
            self._program_aligned(offset, sector.HEADER_BYTES)
            self.region.read(offset, self._proof[: sector.HEADER_BYTES])
            if self._proof[: sector.HEADER_BYTES] == head:
                break
            sequence += 1
        else:
            raise OSError("no sector of the ring can be opened: the part is worn out or write-protected")
        self._sequence = sequence
        self.newest = index
        self.first_numbers[index] = self.next_number
        self._seed = frame.seed(self.ring_id, sequence)
        self.open_page = 0
        self._offset = frame.aligned(sector.HEADER_BYTES, self.align)

    def _program_aligned(self, offset, length):
        total = frame.aligned(length, self.align)
        for index in range(length, total):
            self._page[index] = 0xFF
        self.region.program(offset, self._page[:total])

    def _erase(self, index):
        self.first_numbers[index] = 0
        self.region.erase(index)
        self._erased_ahead = index

    def _holds_kept_records(self, index):
        if self.first_numbers[index] == 0:
            return False
        following = (index + 1) % self.region.sector_count
        while self.first_numbers[following] == 0:
            following = (following + 1) % self.region.sector_count
        # The last record in it is the one before the next valid sector's first.
        return following == index or self.first_numbers[following] - 1 > self.cursor


def _check_geometry(region):
    if not RING_SECTORS_MIN <= region.sector_count <= RING_SECTORS_MAX:
        raise RegionUnusable(
            "a ring takes %d to %d sectors, the region has %d"
            % (RING_SECTORS_MIN, RING_SECTORS_MAX, region.sector_count)
        )
    if frame.size(RECORD_BYTES_MAX, frame.alignment(region.unit_bytes)) > region.page_bytes:
        raise RegionUnusable("pages of %d bytes cannot hold a record" % region.page_bytes)
