"""Any flash content to a state, without writing a bit.

A cut during recovery is therefore the same as no recovery: a fluttering supply can neither wear a
sector nor eat the ring. Whatever needs repair waits for the first append.
"""

from fieldpost.ring import frame, sector


class State:
    """What the flash says.

    newest: place of the sector with the highest sequence number, or -1 if the region holds no ring
    sequence, ring_id: of that sector
    first_numbers: by place, the number of a sector's first record; 0 = nothing valid there
    next_number: what the next record will be called
    cursor, lost: the newest pair that was committed
    tail_page: first page of the newest sector that nothing has touched; pages per sector = none left
    """

    def __init__(self, first_numbers):
        self.first_numbers = first_numbers
        self.newest = -1
        self.sequence = 0
        self.ring_id = 0
        self.next_number = 1
        self.cursor = 0
        self.lost = 0
        self.tail_page = 0
        self.damaged_pages = 0


def recover(region, first_numbers, page):
    """Return the State of `region`.

    first_numbers: zeroed array of sector_count 32-bit numbers, filled here
    page: memoryview of page_bytes, scratch
    """
    state = State(first_numbers)
    _read_headers(region, state, page[: sector.HEADER_BYTES])
    if state.newest >= 0:
        _scan_newest(region, state, page)
    return state


def _read_headers(region, state, head):
    count = region.sector_count
    ring_id = _ring_id_of_most(region, head)
    for index in range(count):
        region.read(index * region.sector_bytes, head)
        found = sector.unpack(head, index, count)
        if found is None or found[0] != ring_id:
            continue
        state.first_numbers[index] = found[2]
        if state.newest < 0 or found[1] > state.sequence:
            state.newest = index
            state.ring_id, state.sequence, state.next_number, state.cursor, state.lost = found


def _ring_id_of_most(region, head):
    """Return the ring id that most sectors carry: a leftover of another ring must not win by a high sequence."""
    votes = {}
    for index in range(region.sector_count):
        region.read(index * region.sector_bytes, head)
        found = sector.unpack(head, index, region.sector_count)
        if found is not None:
            votes[found[0]] = votes.get(found[0], 0) + 1
    chosen = None
    for ring_id in votes:
        if chosen is None or votes[ring_id] > votes[chosen]:
            chosen = ring_id
    return chosen


def _scan_newest(region, state, page):
    pages = region.sector_bytes // region.page_bytes
    start = state.newest * region.sector_bytes
    align = frame.alignment(region.unit_bytes)
    crc_seed = frame.seed(state.ring_id, state.sequence)
    for index in range(pages):
        region.read(start + index * region.page_bytes, page)
        offset = 0 if index else frame.aligned(sector.HEADER_BYTES, align)
        touched = index == 0 or not is_blank(page, 0)
        if touched:
            state.tail_page = index + 1
        while offset + frame.OVERHEAD_BYTES <= len(page):
            length = frame.check(page, offset, crc_seed)
            if length == -1:
                break
            if length == -2:
                state.damaged_pages += 1
                break
            number = frame.number_at(page, offset)
            if page[offset] == frame.KIND_ACK:
                state.cursor = number
                state.lost = int.from_bytes(page[offset + frame.HEAD_BYTES : offset + frame.HEAD_BYTES + 4], "little")
            else:
                state.next_number = number + 1
            offset += frame.size(length, align)
    # A confirmed record whose frame has rotted since must not lend its number to a new one.
    state.next_number = max(state.next_number, state.cursor + 1)


def is_blank(page, start):
    """Return whether `page` reads as erased from `start` to its end."""
    return all(page[index] == 0xFF for index in range(start, len(page)))
