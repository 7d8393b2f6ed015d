"""The ring on the flash part, as the agent's outbox uses it."""

from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.ports.block_region import BlockRegion
from fieldpost.ring.log import Ring

from host_tools.bench.flash_part import BlockDevice, MeteredFlash

_KIND = 1


class RingOnFlash:
    """A ring in all `sector_count` sectors of a part.

    unit_bytes: what is written once between erases; whole_pages: the port sends whole pages, as rp2.Flash does;
    is_busy: there is never a slack moment to erase ahead in.
    """

    def __init__(
        self, title: str, sector_count: int, unit_bytes: int = 4, whole_pages: bool = False, is_busy: bool = False
    ) -> None:
        self.title = title
        # A page that is sent again programs 0xFF over what it holds, which a part that counts units would refuse.
        self.flash = MeteredFlash(sector_count, unit_bytes, write_once=not whole_pages)
        self._region = BlockRegion(BlockDevice(self.flash), range(sector_count), unit_bytes, whole_pages)
        self._is_busy = is_busy
        self._buffer = memoryview(bytearray(RECORD_BYTES_MAX))
        self.reopen()

    def append(self, payload: bytes) -> None:
        """Store one record."""
        self._ring.append(_KIND, payload)

    def read(self, count: int) -> list[bytes]:
        """Return the next `count` records, or as many as there are."""
        found: list[bytes] = []
        while len(found) < count:
            length = self._reader.next(self._buffer)
            if length < 0:
                break
            found.append(bytes(self._buffer[:length]))
        return found

    def acknowledge(self) -> None:
        """Forget what was read: one small frame for the batch."""
        self._ring.forget(self._reader.number)

    def idle(self) -> None:
        """Erase ahead."""
        if not self._is_busy:
            self._ring.maintain()

    def reopen(self) -> None:
        """Open the ring that the flash holds."""
        self._ring = Ring(self._region)
        self._reader = self._ring.reader()
