"""Where a ring lies in flash of which only its own sector headers tell (see fieldpost.ports.lent_blocks).

Every sector of a ring says which place it has: its sequence number modulo the number of sectors. So the
ring is found without the file system that lent the blocks. If that was formatted anew, headers of an older
ring may lie about; the ring that most sectors speak for is taken.
"""

import struct
from typing import Any

from fieldpost.ring import sector

_SEQUENCE_OFFSET = 12


def find_sectors(storage: Any, count: int) -> list[int | None]:
    """Return for each place of a ring of `count` sectors which sector of `storage` (a region) holds it.

    None for a place that no sector claims: it has not been opened yet, or was being erased.
    """
    rings: dict[int, dict[int, tuple[int, int]]] = {}  # by ring id: place to (sequence, sector)
    head = memoryview(bytearray(sector.HEADER_BYTES))
    for number in range(storage.sector_count):
        storage.read(number * storage.sector_bytes, head)
        sequence = struct.unpack_from("<I", head, _SEQUENCE_OFFSET)[0]
        place = sequence % count
        found = sector.unpack(head, place, count)
        if found is None:
            continue
        places = rings.setdefault(found[0], {})
        places[place] = max(places.get(place, (0, 0)), (sequence, number))
    most = max(rings.values(), key=len, default={})
    return [most[place][1] if place in most else None for place in range(count)]
