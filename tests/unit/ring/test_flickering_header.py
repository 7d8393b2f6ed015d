"""A header whose program was cut late: one bit of it reads as 0 and as 1, from one read to the next.

Goal: no number is given again. Method: a part on which that bit of the newest header differs between any two reads of
it; recovery must find the records behind it in whatever order it reads. Found by fieldpost simulate.
"""

from fieldpost.ring.log import Ring
from support import raises

from host_tools.emulator.nor_flash import NorFlash, PowerCut

SECTOR_BYTES = 1024


class FlickeringFlash(NorFlash):
    weak_byte = -1
    pattern = 0

    def read(self, offset, buffer):
        NorFlash.read(self, offset, buffer)
        if offset <= self.weak_byte < offset + len(buffer):
            buffer[self.weak_byte - offset] ^= (self.pattern & 1) << 4
            self.pattern >>= 1


def test_records_behind_a_flickering_header_keep_their_numbers():
    for records in (31, 60, 200):
        flash = FlickeringFlash(6 * SECTOR_BYTES, sector_bytes=SECTOR_BYTES)
        ring = Ring(flash)
        for number in range(1, records + 1):
            assert ring.append(1, bytes(20)) == number
        for byte in range(0, 44, 5):
            flash.weak_byte = ring.newest % ring.sectors * SECTOR_BYTES + byte
            for pattern in range(64):
                flash.pattern = pattern
                after = Ring(flash)
                assert after.next_number == records + 1 and after.ring_id == ring.ring_id, (records, byte, pattern)


def test_a_header_that_was_cut_and_reads_as_valid_one_boot_later_hides_nothing():
    """Goal: the same, when the sector behind the flickering header holds no record yet.

    Method: one boot reads it as rotten and appends to the sector before it, the next one reads it as valid.
    """
    for records in range(20, 60):
        flash = FlickeringFlash(6 * SECTOR_BYTES, sector_bytes=SECTOR_BYTES)
        ring = Ring(flash)
        for _ in range(records):
            ring.append(1, bytes(20))
        before = bytes(flash.memory)
        newest = ring.newest
        while ring.newest == newest:
            ring.append(1, bytes(20))
        place = ring.newest % ring.sectors * SECTOR_BYTES
        header = bytes(flash.memory[place : place + 44])
        for byte in (0, 4, 9, 17, 43):
            cut = bytearray(before)
            cut[place : place + 44] = header
            flash = FlickeringFlash(cut, sector_bytes=SECTOR_BYTES)
            flash.weak_byte = place + byte
            flash.pattern = (1 << 64) - 1
            rotten = Ring(flash)
            flash.pattern = 0
            number = rotten.append(1, bytes(20))
            again = Ring(flash)
            assert again.next_number == number + 1, (records, byte)
            assert again.ring_id == ring.ring_id


def test_the_first_headers_of_a_ring_are_not_trusted_with_records_after_a_cut():
    """Goal: the same, when no other header tells of the ring.

    Method: the first two headers were both cut late, and read as valid at first and as rotten afterwards.
    """
    for sectors_opened in (0, 1):
        flash = FlickeringFlash(6 * SECTOR_BYTES, sector_bytes=SECTOR_BYTES)
        flash.cut_at(2 * sectors_opened + 1, after_bytes=44)
        with raises(PowerCut):
            Ring(flash).append(1, bytes(20))
        flash.power_up()
        ring = Ring(flash)
        assert ring.newest == sectors_opened
        assert [ring.append(1, bytes(20)) for _ in range(9)] == list(range(1, 10))
        for place in range(sectors_opened + 1):
            flash.memory[place * SECTOR_BYTES + 9] ^= 0x10
        after = Ring(flash)
        assert (after.ring_id, after.next_number, after.pending) == (ring.ring_id, 10, 9), sectors_opened
