"""A ring region in a file of a Linux machine: preallocated once, then only overwritten in place.

Overwriting written blocks changes neither size nor allocation, so `fdatasync` need not touch the file system's
journal. A sector that is erased is filled with 0xFF; what a torn write leaves is what a torn program leaves.
"""

import errno
import fcntl
import os

from fieldpost.ring.region import check_span

_SECTOR_BYTES = 4096
_BLANK = b"\xff" * _SECTOR_BYTES


class FileRegion:
    """The file at `path`, of `sector_count` sectors or more; created if it is absent, with mode 0600.

    A file that is larger keeps its size, for it may hold readings; one that is smaller grows. Only one process has
    it at a time (flock(2)). group_records: how many appends one sync should serve. found_sectors: what the file had
    when it was opened.

    After a write or a sync that failed every other one fails as well: the kernel may have dropped what it could not
    write and call it clean, so that a later sync would say yes to what is not there (fsync(2), "EIO"). What is
    stored is known again when the file has been opened anew.

    Raises OSError: EWOULDBLOCK if another process has the file, ENOSPC if the disk has no room for it.
    """

    sector_bytes = _SECTOR_BYTES
    page_bytes = 256
    unit_bytes = 4
    is_cached = True

    def __init__(self, path, sector_count, group_records=1):
        self.group_records = group_records
        if not os.path.exists(path):
            _create(path, sector_count)
        self._failed = 0  # errno of the first write or sync that failed
        self._gathered = bytearray()  # programmed and not yet written: neighbours leave in one call
        self._start = 0
        self._file = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.found_sectors = os.fstat(self._file).st_size // _SECTOR_BYTES
            self.sector_count = _grow(self._file, self.found_sectors, sector_count)
            # What a killed process left in the page cache is read by the ring as stored: let it be. What the disk
            # refused to take is in there as well, and looks as clean: let the ring read what the disk has.
            os.fsync(self._file)
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError as error:
            os.close(self._file)
            raise OSError(error.errno, os.strerror(error.errno), path) from error
        self._bytes = self.sector_count * _SECTOR_BYTES

    def read(self, offset, buffer):
        """Fill `buffer` from `offset`."""
        check_span(offset, len(buffer), self._bytes)
        self._write()
        data = os.pread(self._file, len(buffer), offset)
        if len(data) != len(buffer):
            raise OSError(errno.EIO, "the queue's file has become shorter while it was in use")
        buffer[:] = data

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
        self._guarded(_write_all, _BLANK, sector * _SECTOR_BYTES)

    def sync(self):
        """Make durable what was written. After an OSError nothing is known of it: open the ring anew."""
        self._write()
        self._guarded(os.fdatasync)

    def _write(self):
        if self._gathered:
            data, self._gathered = self._gathered, bytearray()
            self._guarded(_write_all, data, self._start)

    def _guarded(self, act, *arguments):
        if self._failed:
            raise OSError(self._failed, os.strerror(self._failed))
        try:
            act(self._file, *arguments)
        except OSError as error:
            self._failed = error.errno or errno.EIO
            raise

    def close(self):
        """Let go of the file; what was not synced may be lost."""
        os.close(self._file)


def _create(path, sector_count):
    """Write the whole file through before it gets its name: a half-made one must not be taken for a ring."""
    unfinished = path + ".new"
    file = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for sector in range(sector_count):
            _write_all(file, _BLANK, sector * _SECTOR_BYTES)
        os.fsync(file)
    except OSError as error:
        os.unlink(unfinished)  # a disk that is full needs its room for others
        raise OSError(error.errno, os.strerror(error.errno), path) from error
    finally:
        os.close(file)
    os.rename(unfinished, path)
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _grow(file, found, wanted):
    """Extend the file from `found` sectors to `wanted` if that is more; return how many it has.

    A disk without room leaves it as it is: a smaller ring is better than none.
    """
    try:
        for sector in range(found, wanted):
            _write_all(file, _BLANK, sector * _SECTOR_BYTES)
    except OSError as error:
        os.ftruncate(file, found * _SECTOR_BYTES)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return found
    return max(found, wanted)


def _write_all(file, data, offset):
    """As pwrite(2), which may take a part only."""
    view = memoryview(data)
    while view:
        count = os.pwrite(file, view, offset)
        view, offset = view[count:], offset + count
