"""A header whose program was cut late: one bit of it reads as 0 and as 1, from one read to the next.

Goal: no number is given again. Method: a part on which that bit of the newest header differs between any two reads of
it; recovery must find the records behind it in whatever order it reads. Found by fieldpost simulate.
"""

from fieldpost.ring.log import Ring

from host_tools.emulator.nor_flash import NorFlash

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
