"""The newest sector header of a region: found by halving, or by reading all headers where that cannot be trusted.

In ring order the sequence numbers rise by one up to the newest sector and fall there by the number of
sectors. Headers may be missing: behind the newest sector one that was erased ahead, in the first lap all
that follow, and anywhere one that has rotted.
"""

from fieldpost.compat import const
from fieldpost.errors import RegionUnusable
from fieldpost.ring import sector
from fieldpost.ring.walk import is_blank

# Headers side by side that may be unreadable before halving is given up.
_UNREADABLE_MAX = const(2)


def newest_header(region, head):
    """Return the header (see sector.unpack) of the newest sector, or None if the region holds no ring.

    head: memoryview of HEADER_BYTES, scratch. Raises RegionUnusable for a ring that must not be overwritten.
    """
    headers = _Headers(region, head)
    return _halve(headers, region.sector_count) or _survey(headers, region.sector_count)


def rotten_headers(region, head):
    """Return how many places of a region without a ring hold what is left of a header.

    head: as for `newest_header`. What others have left there does not count.
    """
    rotten = 0
    for place in range(region.sector_count):
        region.read(place * region.sector_bytes, head)
        rotten += _is_remnant(head)
    return rotten


class _Headers:
    """Headers by place."""

    def __init__(self, region, head):
        self._region = region
        self._head = head

    def at(self, place):
        """Return the header at `place`, or None."""
        self._region.read(place * self._region.sector_bytes, self._head)
        return sector.unpack(self._head)

    def is_blank(self):
        """Return whether there is nothing where the last header was looked for."""
        return is_blank(self._head, 0)

    def other_version(self, place):
        self._region.read(place * self._region.sector_bytes, self._head)
        return _other_version(self._head)


class _GiveUp(Exception):
    """Halving cannot be trusted here."""


def _halve(headers, count):
    """Return the newest header after reading about log2(count) of them, or None if they do not tell."""
    for anchor in range(min(_UNREADABLE_MAX + 1, count)):
        newest = headers.at(anchor)
        if newest is not None:
            break
    else:
        return None
    if newest[sector.SECTORS] != count or newest[sector.SEQUENCE] % count != anchor:
        return None
    lap = _Lap(headers, count, anchor, newest)
    low, high = 0, count - anchor  # `low` is of the anchor's lap, `high` is not
    try:
        while high - low > 1:
            middle = (low + high) // 2
            known = lap.first_of_lap(middle, high)
            if known < 0:
                high = middle
            else:
                low = known
        while True:
            # A sector or two may have been passed over because their headers did not hold.
            known = lap.first_of_lap(low + 1, min(low + 2 + _UNREADABLE_MAX, count - anchor))
            if known < 0:
                return lap.header(low)
            low = known
    except _GiveUp:
        return None


class _Lap:
    """Places counted from an anchor, and whether they were written after it in the same lap."""

    def __init__(self, headers, count, anchor, header):
        self._headers = headers
        self._count = count
        self._anchor = anchor
        self._first = header

    def first_of_lap(self, start, end):
        """Return the first offset from `start` on that is of this lap, or -1 if the next known one is not."""
        for offset in range(start, end):
            header = self.header(offset)
            if header is not None:
                return offset if header[sector.SEQUENCE] > self._first[sector.SEQUENCE] else -1
            if offset - start == _UNREADABLE_MAX:
                # Written in the lap before, if not in this one; or by somebody, since it is not blank.
                if offset >= self._count - self._first[sector.AGE] or not self._headers.is_blank():
                    raise _GiveUp
                return -1
        return -1

    def header(self, offset):
        """Return the header that is `offset` places behind the anchor, None if it is not one of this ring's."""
        header = self._headers.at(self._anchor + offset)
        if header is None:
            return None
        if header[sector.RING_ID] != self._first[sector.RING_ID]:
            raise _GiveUp
        expected = self._first[sector.SEQUENCE] + offset
        is_due = header[sector.SEQUENCE] in (expected, expected - self._count)
        return header if is_due and header[sector.SECTORS] == self._count else None


def _survey(headers, region_count):
    """Read every header; a leftover of another ring must not win by a high sequence number."""
    votes = {}
    newest = {}
    foreign = None
    for place in range(region_count):
        header = headers.at(place)
        if header is None:
            version = headers.other_version(place)
            if version is not None:
                foreign = "of format version %s" % version
        elif header[sector.SEQUENCE] % header[sector.SECTORS] != place:
            foreign = "that does not begin where this region begins"
        elif header[sector.SECTORS] > region_count:
            foreign = "of %d sectors" % header[sector.SECTORS]
        else:
            key = (header[sector.SECTORS], header[sector.RING_ID])
            votes[key] = votes.get(key, 0) + 1
            if key not in newest or header[sector.SEQUENCE] > newest[key][sector.SEQUENCE]:
                newest[key] = header
    if newest:
        # The ring that has taken the whole region comes before one that was here when the region was smaller.
        chosen = max(newest, key=lambda key: (key[0] == region_count, votes[key]))
        return newest[chosen]
    if foreign is not None:
        raise RegionUnusable(
            "the region of %d sectors holds a ring %s: give the region back its place and size, "
            "or erase it and lose what it holds" % (region_count, foreign)
        )
    return None


def _other_version(buffer):
    """Return the version (str) of a header that another version of this format wrote, or None."""
    if buffer[:3] == sector.MAGIC[:3] and buffer[3] != sector.MAGIC[3] and 0x30 <= buffer[3] <= 0x39:
        return chr(buffer[3])
    return None


def _is_remnant(buffer):
    """Return whether this looks like a header that has rotted: three bytes of the magic are enough."""
    return sum(buffer[index] == sector.MAGIC[index] for index in range(len(sector.MAGIC))) >= len(sector.MAGIC) - 1
