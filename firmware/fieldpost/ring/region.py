"""The flash boundary: what a ring may ask of the memory beneath it, and where the bounds are checked.

A region is any object with

    sector_bytes, page_bytes   erase unit and program unit of the part (4096 and 256 on serial NOR flash)
    unit_bytes                 offset and length of every program are multiples of it; written once between erases
    sector_count
    read(offset, buffer)       fill `buffer` from `offset`
    program(offset, data)      clear bits inside one page
    erase(sector)              set every bit of one sector
    sync()                     make durable what was programmed and erased; flash parts did so at once
    is_cached                  whether a read right after a program may tell nothing of the memory itself
    group_records              how many appends one sync should serve: 1 where it costs little

Offsets count from the start of the region. OSError means that the flash refused.
"""


class SubRegion:
    """Some neighbouring sectors of a region, as a region of their own."""

    def __init__(self, region, first_sector, sector_count):
        if first_sector < 0 or sector_count < 1 or first_sector + sector_count > region.sector_count:
            raise ValueError(
                "sectors %d to %d lie outside a region of %d"
                % (first_sector, first_sector + sector_count - 1, region.sector_count)
            )
        self.sector_bytes = region.sector_bytes
        self.page_bytes = region.page_bytes
        self.unit_bytes = region.unit_bytes
        self.is_cached = region.is_cached
        self.group_records = region.group_records
        self.sector_count = sector_count
        self._region = region
        self._first_sector = first_sector
        self._start = first_sector * region.sector_bytes
        self._bytes = sector_count * region.sector_bytes

    def read(self, offset, buffer):
        """Fill `buffer` from `offset`; ValueError outside the sub-region."""
        if offset < 0 or offset + len(buffer) > self._bytes:
            check_span(offset, len(buffer), self._bytes)
        self._region.read(self._start + offset, buffer)

    def program(self, offset, data):
        """Program `data` at `offset`; ValueError outside the sub-region."""
        check_span(offset, len(data), self._bytes)
        self._region.program(self._start + offset, data)

    def erase(self, sector):
        """Erase one sector; ValueError outside the sub-region."""
        if not 0 <= sector < self.sector_count:
            raise ValueError("sector %d of %d" % (sector, self.sector_count))
        self._region.erase(self._first_sector + sector)

    def sync(self):
        """Make durable what was programmed and erased."""
        self._region.sync()


def check_span(offset, length, limit):
    """Raise ValueError unless offset .. offset + length lies in 0 .. limit (bytes).

    rp2.Flash takes any block number, even one that holds the firmware: this check is the only one.
    """
    if offset < 0 or offset + length > limit:
        raise ValueError("bytes %d to %d lie outside a region of %d" % (offset, offset + length, limit))
