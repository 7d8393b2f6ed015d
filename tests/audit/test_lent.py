"""A ring whose sectors lie scattered in flash is found by its headers alone."""

import random

from fieldpost.ring.log import Ring

from host_tools.audit.lent import find_sectors

SECTOR = 4096


class Scattered:
    """A region made of chosen sectors of a larger flash."""

    page_bytes, unit_bytes, sector_bytes = 256, 1, SECTOR
    is_cached, group_records = False, 1

    def __init__(self, image, sectors):
        self.image = image
        self.sectors = sectors
        self.sector_count = len(sectors)

    def place(self, offset):
        sector, inside = divmod(offset, SECTOR)
        return self.sectors[sector] * SECTOR + inside

    def read(self, offset, buffer):
        start = self.place(offset)
        buffer[:] = self.image[start : start + len(buffer)]

    def program(self, offset, data):
        start = self.place(offset)
        self.image[start : start + len(data)] = data

    def erase(self, sector):
        start = self.sectors[sector] * SECTOR
        self.image[start : start + SECTOR] = b"\xff" * SECTOR

    def sync(self):
        pass


def test_scattered_sectors_are_found_in_their_order():
    """Goal: whatever blocks were lent and however far the ring has turned, the same ring is read."""
    chance = random.Random(7)
    for records in (0, 1, 100, 400):
        image = bytearray(chance.randbytes(32 * SECTOR))
        sectors = chance.sample(range(32), 6)
        journal_sectors, ring_sectors = sectors[:2], sectors[2:]
        for number in sectors:
            image[number * SECTOR : (number + 1) * SECTOR] = b"\x5a" * SECTOR
        ring = Ring(Scattered(image, ring_sectors))
        for _ in range(records):
            ring.append(1, b"x" * 100)
        found = find_sectors(Scattered(image, range(32)), 4)
        assert len(found) == 4
        for place, number in enumerate(found):
            assert number in (None, ring_sectors[place]), (records, found, ring_sectors)
        assert found.count(None) < 4 or records == 0
        rebuilt = Ring(Scattered(image, [journal_sectors[0] if number is None else number for number in found]))
        assert rebuilt.next_number == records + 1
