"""A ring region on a MicroPython block device: esp32.Partition or rp2.Flash.

Only the extended calls are used, which never erase by themselves (MicroPython documentation,
`vfs.AbstractBlockDev`): readblocks(n, buffer, offset), writeblocks(n, buffer, offset) and ioctl(6, n).
"""

from fieldpost.ring.region import check_span

_SECTOR_BYTES = 4096
_PAGE_BYTES = 256
_IOCTL_ERASE = 6


class BlockRegion:
    """The blocks of `device` whose numbers stand in `blocks`, in that order; they need not be neighbours.

    unit_bytes: what the part programs at least (the ring aligns frames to it).
    whole_pages: the device programs whole pages and nothing less, as rp2.Flash does: what is not meant
    to change is sent as 0xFF, which leaves flash as it is.
    """

    sector_bytes = _SECTOR_BYTES
    page_bytes = _PAGE_BYTES
    is_cached = False
    group_records = 1

    def __init__(self, device, blocks, unit_bytes=4, whole_pages=False):
        self.unit_bytes = unit_bytes
        self.sector_count = len(blocks)
        self._device = device
        self._blocks = blocks
        self._bytes = len(blocks) * _SECTOR_BYTES
        self._page = memoryview(bytearray(_PAGE_BYTES)) if whole_pages else None

    def share_page(self, page):
        """Let `page` (memoryview) do instead of one of its own: what stands there is lost with each program."""
        if self._page is not None:
            self._page = page

    def read(self, offset, buffer):
        """Fill `buffer` from `offset` of the region, inside one sector."""
        check_span(offset, len(buffer), self._bytes)
        assert offset % _SECTOR_BYTES + len(buffer) <= _SECTOR_BYTES
        self._device.readblocks(self._blocks[offset // _SECTOR_BYTES], buffer, offset % _SECTOR_BYTES)

    def program(self, offset, data):
        """Clear bits at `offset`, inside one page; durable on return."""
        check_span(offset, len(data), self._bytes)
        in_page = offset % _PAGE_BYTES
        assert in_page + len(data) <= _PAGE_BYTES
        if self._page is not None:
            for index in range(_PAGE_BYTES):
                self._page[index] = 0xFF
            self._page[in_page : in_page + len(data)] = data
            data = self._page
            offset -= in_page
        self._device.writeblocks(self._blocks[offset // _SECTOR_BYTES], data, offset % _SECTOR_BYTES)

    def erase(self, sector):
        """Erase one sector; OSError if the device refuses (esp32.Partition returns a code, it does not raise)."""
        if not 0 <= sector < self.sector_count:
            raise ValueError("sector %d of %d" % (sector, self.sector_count))
        code = self._device.ioctl(_IOCTL_ERASE, self._blocks[sector])
        if code:
            raise OSError(-code if code < 0 else code)

    def sync(self):
        """Nothing to do: both ports return from a program or an erase when the part reports ready."""
