"""A ring region in files, one for each sector: for boards whose flash offers no room of its own.

littlefs pays about one erase for each commit of a file, however small (DESIGN.md of littlefs, "Copy-on-write
metadata"), so records are gathered in RAM and written at `sync`; what was gathered is lost if the power goes before
that. A file that was closed is whole or as it was before: nothing here is ever torn.
"""

import os
from errno import ENOENT

from fieldpost.compat import const
from fieldpost.errors import ConfigError
from fieldpost.ring.region import check_span

_SECTOR_BYTES = const(4096)
_PAGE_BYTES = const(256)
_GATHERED_BYTES = const(1024)


class FilesRegion:
    """`sector_count` files in `folder`, made when they are needed.

    group_records: how many appends one sync should serve.
    Raises ConfigError if the file system has less room than they will need.
    """

    sector_bytes = _SECTOR_BYTES
    page_bytes = _PAGE_BYTES
    unit_bytes = 4
    is_cached = True

    def __init__(self, folder, sector_count, group_records):
        self.sector_count = sector_count
        self.group_records = group_records
        self._folder = folder
        self._gathered = memoryview(bytearray(_GATHERED_BYTES))
        self._start = 0  # offset in the region of what is gathered
        self._length = 0
        self._make_folder()

    def read(self, offset, buffer):
        """Fill `buffer` from `offset`, inside one sector; what was never written reads as erased.

        A file that is there and cannot be read gives zeros: damage, which is counted, and no room to begin anew.
        """
        check_span(offset, len(buffer), self.sector_count * _SECTOR_BYTES)
        in_sector = offset % _SECTOR_BYTES
        count = 0
        rest = 0xFF
        try:
            with open(self._path(offset // _SECTOR_BYTES), "rb") as file:
                file.seek(in_sector)
                count = file.readinto(buffer)
        except OSError as error:
            if error.errno != ENOENT:
                rest = 0
        for index in range(count, len(buffer)):
            buffer[index] = rest
        first = max(offset, self._start)
        end = min(offset + len(buffer), self._start + self._length)
        if first < end:
            buffer[first - offset : end - offset] = self._gathered[first - self._start : end - self._start]

    def program(self, offset, data):
        """Gather `data`, which follows what was programmed in its sector before."""
        check_span(offset, len(data), self.sector_count * _SECTOR_BYTES)
        end = self._start + self._length
        is_near = self._length and offset // _SECTOR_BYTES == self._start // _SECTOR_BYTES
        if not is_near or offset + len(data) - self._start > _GATHERED_BYTES:
            self.sync()
            end = self._start = offset
        for index in range(end - self._start, offset - self._start):
            self._gathered[index] = 0xFF
        self._length = offset + len(data) - self._start
        self._gathered[self._length - len(data) : self._length] = data

    def erase(self, sector):
        """Remove one sector's file."""
        if not 0 <= sector < self.sector_count:
            raise ValueError("sector %d of %d" % (sector, self.sector_count))
        self.sync()
        try:
            os.remove(self._path(sector))
        except OSError:
            pass  # it was not there

    def sync(self):
        """Write what was gathered; durable on return. Raises OSError if the file system is full."""
        if not self._length:
            return
        length, self._length = self._length, 0  # after a failure nothing is known of it, and it is not written again
        in_sector = self._start % _SECTOR_BYTES
        with open(self._path(self._start // _SECTOR_BYTES), "ab") as file:
            at = file.seek(0, 2)
            if at > in_sector:
                raise OSError("%s has %d bytes, expected %d" % (self._path(0), at, in_sector))
            while at < in_sector:  # the rest of a page that was left
                at += file.write(b"\xff" * min(in_sector - at, _PAGE_BYTES))
            file.write(self._gathered[:length])

    def _path(self, sector):
        return "%s/%04x" % (self._folder, sector)

    def _make_folder(self):
        try:
            os.mkdir(self._folder)
        except OSError:
            return  # it is there
        status = os.statvfs(self._folder)
        free = status[0] * status[3]
        if free < self.sector_count * _SECTOR_BYTES:
            raise ConfigError(
                "the file system has %d bytes left, ring.sectors %d needs %d: set it lower"
                % (free, self.sector_count, self.sector_count * _SECTOR_BYTES)
            )
