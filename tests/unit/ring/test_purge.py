"""Sectors that were dropped on request leave no gap that a start could take for the end of the ring.

Goal: after a purge, whole or cut anywhere, a start finds the open sector, every record in it, the number that comes
next and what waits, and reads no more than ever. Method: rings of few and many sectors, in their first lap and later,
with the flash cut or refusing in every operation of the purge.
"""

from fieldpost.ring.directory import first_number
from fieldpost.ring.log import Ring
from support import raises, records_of

from host_tools.emulator.nor_flash import NorFlash, PowerCut

SECTOR_BYTES = 1024


def payload(number):
    return b"%20d" % number + bytes(number % 30)


def filled(sectors, opened, unit_bytes=1):
    """Return a ring whose open sector is the one of sequence number `opened`, with some records in it."""
    return fill(NorFlash(sectors * SECTOR_BYTES, SECTOR_BYTES, unit_bytes=unit_bytes, write_once=True), opened)


def fill(flash, opened):
    ring = Ring(flash)
    while ring.newest < opened:
        ring.append(1, payload(ring.next_number))
    for _ in range(5):
        ring.append(1, payload(ring.next_number))
    return ring


def purge(ring):
    top = sequence = ring.newest
    while ring.drop_sector(sequence - 1):
        sequence -= 1
    ring.begin_at(top)


def numbers(ring):
    """Return what can be read; all of it must be what was stored."""
    found = records_of(ring)
    assert all(stored == payload(number) for number, stored in found)
    return [number for number, _ in found]


def test_a_start_after_a_purge_finds_what_it_left():
    for sectors, opened in ((3, 2), (3, 5), (4, 3), (8, 5), (8, 7), (8, 8), (8, 21), (33, 22), (33, 70)):
        ring = filled(sectors, opened)
        kept = numbers(ring)[-6:]
        purge(ring)
        for more in range(3):
            where = (sectors, opened, more)
            for now in (ring, Ring(ring.region)):
                assert numbers(now) == kept, where
                assert (now.newest, now.next_number) == (ring.newest, kept[-1] + 1), where
                assert (now.oldest, now.pending) == (kept[0], len(kept)), where
            kept.append(ring.append(1, payload(ring.next_number)))


def test_a_ring_goes_on_after_a_purge_for_more_than_a_lap():
    ring = filled(5, 3)
    purge(ring)
    for _ in range(300):
        ring.append(1, payload(ring.next_number))
        ring.maintain()
        after = Ring(ring.region)
        assert numbers(after) == list(range(after.oldest, ring.next_number))
        assert (after.oldest, after.pending, after.newest) == (ring.oldest, ring.pending, ring.newest)


def test_a_purged_ring_is_opened_with_few_reads():
    for opened in (100, 150, 300):
        ring = filled(128, opened)
        reads = []
        for _ in range(2):
            before = ring.region.reads
            after = Ring(ring.region)
            assert after.pending and after.reader().next() > 0
            reads.append(ring.region.reads - before)
            purge(ring)
        assert reads[1] <= reads[0] + 8, (opened, reads)


def test_a_purge_may_be_cut_anywhere_and_come_again():
    for sectors, opened, unit_bytes in ((4, 3, 1), (6, 4, 16), (6, 13, 1), (9, 8, 4)):
        for late in (False, True):
            operation = 0
            while True:
                ring = filled(sectors, opened, unit_bytes)
                before = numbers(ring)
                open_sector = before.index(first_number(ring, ring.newest, ring._page))
                flash = ring.region
                is_cut = False
                for turn in range(4):  # cut in each, and the last one is whole
                    if turn < 3:
                        flash.cut_at(operation, scattered=late)
                    try:
                        purge(ring)
                    except PowerCut:
                        is_cut = True
                    flash.power_up()
                    ring = Ring(flash)
                    where = (sectors, opened, unit_bytes, late, operation, turn)
                    found = numbers(ring)
                    assert found[-1:] == before[-1:] and ring.next_number == before[-1] + 1, where
                    assert set(before[open_sector:]) <= set(found) <= set(before), where
                assert found == before[open_sector:] and ring.pending == len(found), where
                if not is_cut:
                    break
                operation += 1


class CutBetween(NorFlash):
    """Loses its power before the program that comes after `erases_left` erases, nothing of it done."""

    erases_left = 0

    def erase(self, sector):
        NorFlash.erase(self, sector)
        self.erases_left -= 1
        if self.erases_left == 0:
            self.cut_off()


def test_purges_cut_between_erase_and_header_at_neighbouring_sectors_leave_no_gap():
    """The worst that cuts can do in the first lap: sector after sector blank, upwards and downwards."""
    for sectors, opened, drops in ((16, 5, 1), (16, 9, 4), (16, 12, 7), (33, 20, 1), (33, 20, 6), (16, 40, 4)):
        for sectors_between in (0, 1):
            flash = CutBetween(sectors * SECTOR_BYTES, SECTOR_BYTES)
            ring = fill(flash, opened)
            for turn in range(6):
                where = (sectors, opened, drops, sectors_between, turn)
                # Each comes to the sector above the one where the last purge was cut.
                flash.erases_left = max(1, drops - (0 if sectors_between else turn))
                with raises(PowerCut):
                    purge(ring)
                flash.power_up()
                expected = ring.newest, ring.next_number
                ring = Ring(flash)
                assert (ring.newest, ring.next_number) == expected, where
                assert numbers(ring)[-1] == ring.next_number - 1, where
                while ring.newest < expected[0] + sectors_between:
                    ring.append(1, payload(ring.next_number))


def test_a_drop_that_the_flash_refuses_is_told_and_may_be_asked_again():
    class Refusing(NorFlash):
        refused = -1

        def erase(self, sector):
            if self.operations == self.refused:
                self.refused = -1
                raise OSError(5)
            NorFlash.erase(self, sector)

        def program(self, offset, data):
            if self.operations == self.refused:
                self.refused = -1
                raise OSError(5)
            NorFlash.program(self, offset, data)

    for operation in range(10):
        flash = Refusing(6 * SECTOR_BYTES, SECTOR_BYTES)
        ring = Ring(flash)
        while ring.newest < 8:
            ring.append(1, payload(ring.next_number))
        kept = numbers(ring)
        flash.refused = flash.operations + operation
        try:
            purge(ring)
            raise AssertionError(operation)
        except OSError:
            found = numbers(ring)
            assert found[-1] == kept[-1] and set(found) <= set(kept)
            assert numbers(Ring(flash)) == found
        kept.append(ring.append(1, payload(ring.next_number)))
        purge(ring)
        for now in (ring, Ring(flash)):
            assert numbers(now) == kept[-2:] and now.pending == 2, operation
