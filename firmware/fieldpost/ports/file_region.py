"""A ring region in a file of a Linux machine: preallocated once, then only overwritten in place.

Overwriting written blocks changes neither size nor allocation, so `fdatasync` need not touch the file system's
journal. A sector that is erased is filled with 0xFF; what a torn write leaves is what a torn program leaves.
"""

import os

from fieldpost.errors import RegionUnusable
from fieldpost.ring.region import check_span


class FileRegion:
    """The file at `path`, of `sector_count` sectors; created if it is absent, with mode 0600.

    Raises RegionUnusable if a file of another size is there: it may hold readings.
    """

    sector_bytes = 4096
    page_bytes = 256
    unit_bytes = 4

    def __init__(self, path, sector_count):
        self.sector_count = sector_count
        self._bytes = sector_count * self.sector_bytes
        if not os.path.exists(path):
            _create(path, self._bytes)
        size = os.stat(path).st_size
        if size != self._bytes:
            raise RegionUnusable(
                "%s has %d bytes, the configuration says %d sectors (%d bytes): set ring.sectors back, "
                "or move the file away" % (path, size, sector_count, self._bytes)
            )
        self._file = os.open(path, os.O_RDWR)

    def read(self, offset, buffer):
        """Fill `buffer` from `offset`."""
        check_span(offset, len(buffer), self._bytes)
        buffer[:] = os.pread(self._file, len(buffer), offset)

    def program(self, offset, data):
        """Write `data` at `offset`; durable after `sync`."""
        check_span(offset, len(data), self._bytes)
        os.pwrite(self._file, data, offset)

    def erase(self, sector):
        """Fill one sector with 0xFF; durable after `sync`."""
        if not 0 <= sector < self.sector_count:
            raise ValueError("sector %d of %d" % (sector, self.sector_count))
        os.pwrite(self._file, b"\xff" * self.sector_bytes, sector * self.sector_bytes)

    def sync(self):
        """Make durable what was written. After an OSError nothing is known of it: open the ring anew."""
        os.fdatasync(self._file)

    def close(self):
        """Let go of the file."""
        os.close(self._file)


def _create(path, size):
    """Write the whole file through before it gets its name: a half-made one must not be taken for a ring."""
    unfinished = path + ".new"
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        for _ in range(0, size, 65536):
            file.write(b"\xff" * min(65536, size - file.tell()))
        file.flush()
        os.fsync(file.fileno())
    os.rename(unfinished, path)
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
