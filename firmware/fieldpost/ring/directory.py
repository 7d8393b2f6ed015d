"""Which sector holds which numbers, from their headers; nothing of it is kept in RAM."""

from fieldpost.ring import frame, sector
from fieldpost.ring.walk import Walk


def walks(ring, sequence, page, indexes=None):
    """Yield a Walk at the head of each page of the sector of `sequence`, its page read.

    page: memoryview of page_bytes, scratch, here and below. indexes: of the pages; all, in order, if None.
    """
    walk = Walk(page, ring.align)
    crc_seed = frame.seed(ring.ring_id, sequence)
    region = ring.region
    start = sequence % ring.sectors * region.sector_bytes
    for index in indexes or range(ring.pages_per_sector):
        region.read(start + index * region.page_bytes, page)
        walk.begin(index, crc_seed)
        yield walk


def first_number(ring, sequence, page):
    """Return the number of the first record in the sector of `sequence`, 0 if it holds nothing that is whole.

    If the header has rotted, or tells what cannot be, the frames are asked.
    """
    head = page[: sector.HEADER_BYTES]
    ring.region.read(sequence % ring.sectors * ring.region.sector_bytes, head)
    header = sector.unpack(head)
    if header is not None and header[sector.SEQUENCE] == sequence and header[sector.RING_ID] == ring.ring_id:
        first = header[sector.FIRST_NUMBER]
        if first <= ring.next_number:
            return first
    for walk in walks(ring, sequence, page):
        while walk.next():
            if page[walk.offset] != frame.KIND_ACK:
                return frame.number_before(page, walk.offset, ring.next_number)
    return 0


def first_number_from(ring, sequence, last, page):
    """Return (sequence number, first number) of the first sector from `sequence` to `last` that tells one.

    If none does, `last` and 0.
    """
    while True:
        first = first_number(ring, sequence, page)
        if first or sequence >= last:
            return sequence, first
        sequence += 1


def sector_of(ring, number, page):
    """Return the sequence number of the sector that holds `number`, or would if it were kept; ring not empty."""
    low, high = ring.oldest_sector, ring.newest
    while low < high:
        middle = (low + high + 1) // 2
        at, first = first_number_from(ring, middle, high, page)
        if first and first <= number:
            low = at
        else:
            high = middle - 1
    return low


def damaged_pages(ring, sequence, page):
    """Return how many pages of the sector of `sequence` hold what is neither whole nor blank."""
    found = 0
    for walk in walks(ring, sequence, page):
        while walk.next():
            pass
        found += walk.damage_end > walk.damage_start
    return found
