"""Which sector holds which numbers, from their headers; nothing of it is kept in RAM."""

from fieldpost.ring import frame, sector
from fieldpost.ring.walk import Walk


def first_number(ring, sequence, page):
    """Return the number of the first record in the sector of `sequence`, 0 if it holds nothing that is whole.

    page: memoryview of page_bytes, scratch. If the header has rotted, or tells what cannot be, the frames are asked.
    """
    start = sequence % ring.sectors * ring.region.sector_bytes
    head = page[: sector.HEADER_BYTES]
    ring.region.read(start, head)
    header = sector.unpack(head)
    if header is not None and header[sector.SEQUENCE] == sequence and header[sector.RING_ID] == ring.ring_id:
        first = header[sector.FIRST_NUMBER]
        if first <= ring.next_number:
            return first
    return _first_in_frames(ring, sequence, start, page)


def sector_of(ring, number, page):
    """Return the sequence number of the sector that holds `number`, or would if it were kept; ring not empty."""
    low, high = ring.oldest_sector, ring.newest
    while low < high:
        middle = (low + high + 1) // 2
        at = middle
        first = first_number(ring, at, page)
        while first == 0 and at < high:
            at += 1
            first = first_number(ring, at, page)
        if first and first <= number:
            low = at
        else:
            high = middle - 1
    return low


def damaged_pages(ring, sequence, page):
    """Return how many pages of the sector of `sequence` hold what is neither whole nor blank. page: as above."""
    walk = Walk(page, ring.align)
    crc_seed = frame.seed(ring.ring_id, sequence)
    start = sequence % ring.sectors * ring.region.sector_bytes
    found = 0
    for index in range(ring.pages_per_sector):
        ring.region.read(start + index * ring.region.page_bytes, page)
        walk.begin(0 if index else frame.aligned(sector.HEADER_BYTES, ring.align), crc_seed)
        while walk.next():
            pass
        found += walk.damage_end > walk.damage_start
    return found


def _first_in_frames(ring, sequence, start, page):
    walk = Walk(page, ring.align)
    crc_seed = frame.seed(ring.ring_id, sequence)
    offset = frame.aligned(sector.HEADER_BYTES, ring.align)
    for index in range(ring.pages_per_sector):
        ring.region.read(start + index * ring.region.page_bytes, page)
        walk.begin(offset, crc_seed)
        offset = 0
        while walk.next():
            if page[walk.offset] != frame.KIND_ACK:
                return frame.number_before(page, walk.offset, ring.next_number)
    return 0
