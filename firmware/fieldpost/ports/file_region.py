"""A ring region in a file of a Linux machine: preallocated once, then only overwritten in place.

Overwriting written blocks changes neither size nor allocation, so `fdatasync` need not touch the file system's
journal. A sector that is erased is filled with 0xFF; what a torn write leaves is what a torn program leaves.
"""

import os

from fieldpost.ring.region import check_span

_SECTOR_BYTES = 4096
_BLANK = b"\xff" * _SECTOR_BYTES


class FileRegion:
    """The file at `path`, of `sector_count` sectors or more; created if it is absent, with mode 0600.

    A file that is larger keeps its size, for it may hold readings; one that is smaller grows.
    group_records: how many appends one sync should serve. Raises OSError if the disk has no room for the file.
    """

    sector_bytes = _SECTOR_BYTES
    page_bytes = 256
    unit_bytes = 4
    is_cached = True

    def __init__(self, path, sector_count, group_records=1):
        self.group_records = group_records
        if not os.path.exists(path):
            _create(path, sector_count)
        self._file = os.open(path, os.O_RDWR)
        self.sector_count = _grow(self._file, sector_count)
        self._bytes = self.sector_count * _SECTOR_BYTES
        self._gathered = bytearray()  # programmed and not yet written: neighbours leave in one call
        self._start = 0
        # What a killed process left in the page cache is read by the ring as stored: let it be.
        os.fsync(self._file)

    def read(self, offset, buffer):
        """Fill `buffer` from `offset`."""
        check_span(offset, len(buffer), self._bytes)
        self._write()
        buffer[:] = os.pread(self._file, len(buffer), offset)

    def program(self, offset, data):
        """Write `data` at `offset`; durable after `sync`."""
        check_span(offset, len(data), self._bytes)
        if offset != self._start + len(self._gathered):
            self._write()
            self._start = offset
        self._gathered += data

    def erase(self, sector):
        """Fill one sector with 0xFF; durable after `sync`."""
        if not 0 <= sector < self.sector_count:
            raise ValueError("sector %d of %d" % (sector, self.sector_count))
        self._write()
        os.pwrite(self._file, _BLANK, sector * _SECTOR_BYTES)

    def sync(self):
        """Make durable what was written. After an OSError nothing is known of it: open the ring anew."""
        self._write()
        os.fdatasync(self._file)

    def _write(self):
        if self._gathered:
            data, self._gathered = self._gathered, bytearray()
            os.pwrite(self._file, data, self._start)

    def close(self):
        """Let go of the file; what was not synced may be lost."""
        os.close(self._file)


def _create(path, sector_count):
    """Write the whole file through before it gets its name: a half-made one must not be taken for a ring."""
    unfinished = path + ".new"
    file = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for _ in range(sector_count):
            os.write(file, _BLANK)
        os.fsync(file)
    finally:
        os.close(file)
    os.rename(unfinished, path)
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _grow(file, sector_count):
    """Extend the file to `sector_count` sectors if it has fewer; return how many it has.

    A disk without room leaves it as it is: a smaller ring is better than none.
    """
    size = os.fstat(file).st_size
    whole = size // _SECTOR_BYTES
    try:
        if whole < sector_count:
            for sector in range(whole, sector_count):
                os.pwrite(file, _BLANK, sector * _SECTOR_BYTES)
            whole = sector_count
    except OSError:
        os.ftruncate(file, whole * _SECTOR_BYTES)
    return whole
