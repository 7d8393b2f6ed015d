"""What a start asks of a ring about the boots before it; a board takes this off the heap afterwards."""

from fieldpost.ring import frame
from fieldpost.ring.directory import first_number, sector_of, walks


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


def sector_starts(ring, number):
    """Return the first numbers in the sector that holds `number` and in the one before, as far as they can be read."""
    if ring.newest < 0:
        return []
    page = memoryview(bytearray(ring.region.page_bytes))
    sequence = sector_of(ring, number, page)
    starts = [first_number(ring, at, page) for at in (sequence, sequence - 1) if at >= ring.oldest_sector]
    return [first for first in starts if first]
