"""What the ring on a board's flash says, read from the outside: its end, and what still waits in it."""

from typing import Any

from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.ring.log import Ring

from host_tools.audit.ledger import RingTail
from host_tools.audit.ranges import RangeSet


def read_tail(region: Any) -> RingTail | None:
    """Return the tail of the ring in `region` (see fieldpost.ring.region), None if no ring lives there.

    Only reads. The board may run meanwhile if nothing programs the region before this returns.
    """
    ring = Ring(region)
    if ring.newest < 0:
        return None
    kept = RangeSet()
    reader = ring.reader()
    reader.seek(ring.cursor + 1)
    payload = memoryview(bytearray(RECORD_BYTES_MAX))
    while reader.next(payload) >= 0:
        kept.add(reader.number, reader.number)
    return RingTail(
        ring=f"{ring.ring_id:08x}",
        next_number=ring.next_number,
        waiting=tuple(kept),
        overwritten=tuple(kept.holes(ring.cursor + 1, ring.next_number - 1)),
    )
