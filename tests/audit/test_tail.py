"""The tail of a real ring on a flash in RAM."""

from fieldpost.ring.log import Ring

from host_tools.audit import RingTail, read_tail

READING = 1


class RamFlash:
    """A flash that never fails: enough to keep a ring."""

    sector_bytes, page_bytes, unit_bytes, sector_count = 4096, 256, 1, 4
    is_cached, group_records = False, 1

    def __init__(self):
        self.image = bytearray(b"\xff" * (self.sector_bytes * self.sector_count))

    def read(self, offset, buffer):
        buffer[:] = self.image[offset : offset + len(buffer)]

    def program(self, offset, data):
        self.image[offset : offset + len(data)] = data

    def erase(self, sector):
        start = sector * self.sector_bytes
        self.image[start : start + self.sector_bytes] = b"\xff" * self.sector_bytes

    def sync(self):
        pass


def test_blank_flash_has_no_tail():
    assert read_tail(RamFlash()) is None


def test_the_tail_tells_the_end_and_what_waits():
    flash = RamFlash()
    ring = Ring(flash)
    for _ in range(5):
        ring.append(READING, b"payload")
    ring.forget(2)
    assert read_tail(flash) == RingTail(f"{ring.ring_id:08x}", 6, waiting=((3, 5),))


def test_reading_the_tail_changes_nothing():
    flash = RamFlash()
    Ring(flash).append(READING, b"payload")
    before = bytes(flash.image)
    read_tail(flash)
    assert flash.image == before


def test_a_ring_that_overflowed_tells_what_is_gone():
    flash = RamFlash()
    ring = Ring(flash)
    for _ in range(400):
        ring.append(READING, b"x" * 100)
    tail = read_tail(flash)
    (waiting,) = tail.waiting
    assert waiting[1] == 400
    assert tail.overwritten == ((1, waiting[0] - 1),)
