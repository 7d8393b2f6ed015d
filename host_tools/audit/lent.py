"""Where a ring lies in flash of which only its own sector headers tell (see fieldpost.ports.lent_blocks).

Every sector of a ring says which place it has: its sequence number modulo the number of sectors. So the
ring is found without the file system that lent the blocks. If that was formatted anew, headers of an older
ring may lie about; the ring that most sectors speak for is taken.
"""

from typing import Any

from fieldpost.ring import sector


def find_sectors(storage: Any, count: int) -> list[int | None]:
    """Return for each place of a ring of `count` sectors which sector of `storage` (a region) holds it.

    None for a place that no sector claims: it has not been opened yet, or was being erased.
    """
    rings: dict[int, dict[int, tuple[int, int]]] = {}  # by ring id: place to (sequence, sector)
    head = memoryview(bytearray(sector.HEADER_BYTES))
    for number in range(storage.sector_count):
        storage.read(number * storage.sector_bytes, head)
        header = sector.unpack(head)
        if header is None or header[sector.SECTORS] != count:
            continue
        places = rings.setdefault(header[sector.RING_ID], {})
        place = header[sector.SEQUENCE] % count
        places[place] = max(places.get(place, (-1, 0)), (header[sector.SEQUENCE], number))
    most = max(rings.values(), key=len, default={})
    return [most[place][1] if place in most else None for place in range(count)]
