"""From frame to frame through one page, over whatever damage lies between them."""

from binascii import crc32

from fieldpost.ring import frame, sector

_BLANK = b"\xff" * 256


class Walk:
    """`begin` at a page, then `next` until it says no.

    After True: offset and length of a whole frame. In both cases damage_start and damage_end span what was
    passed over because its CRC failed; they are equal if nothing was.
    """

    def __init__(self, page, align):
        self._page = page
        self._align = align
        self._after_header = frame.aligned(sector.HEADER_BYTES, align)
        self._seed = 0
        self._at = 0
        self.offset = 0
        self.length = 0
        self.damage_start = 0
        self.damage_end = 0

    def begin(self, index, crc_seed):
        """Start anew in the page of that index (0: after the header) in a sector of that seed; the caller fills it."""
        self._at = 0 if index else self._after_header
        self._seed = crc_seed

    def again(self):
        """Let `next` give the frame that it gave last once more."""
        self._at = self.offset

    def next(self):
        """Go to the next whole frame; False at the end of the page or before its blank rest.

        After False it may be called again when the page has grown: it goes on where it stood.
        """
        page = self._page
        at = self.damage_start = self._at
        align = self._align
        page_end = len(page)
        while at <= page_end - frame.OVERHEAD_BYTES:
            if page[at] == frame.KIND_BLANK and is_blank(page, at):
                break
            length = page[at + 1]
            end = at + frame.OVERHEAD_BYTES + length
            if end <= page_end and crc32(page[at:end], self._seed) == frame.CRC_OF_WHOLE:
                self.offset = self.damage_end = at
                self.length = length
                self._at = (end + align - 1) // align * align
                return True
            at += align
        self.damage_end = _written_end(page, self._at, min(at, page_end)) if at > self._at else at
        return False


def is_blank(page, start):
    """Return whether `page` (memoryview) reads as erased from `start` to its end."""
    while start < len(page):
        end = min(start + len(_BLANK), len(page))
        if page[start:end] != _BLANK[: end - start]:
            return False
        start = end
    return True


def _written_end(page, start, end):
    """Return where the last byte that is not blank ends."""
    while end > start and page[end - 1] == 0xFF:
        end -= 1
    return end
