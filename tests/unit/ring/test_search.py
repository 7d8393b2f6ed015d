"""The newest sector is found by few reads, whatever lap, size and damage."""

from fieldpost.errors import RegionUnusable
from fieldpost.ring import sector
from fieldpost.ring.log import Ring
from fieldpost.ring.region import SubRegion
from support import raises

from host_tools.emulator.nor_flash import NorFlash

SECTOR_BYTES = 1024
HEAD = memoryview(bytearray(sector.HEADER_BYTES))


def flash_of(sectors):
    return NorFlash(sectors * SECTOR_BYTES, sector_bytes=SECTOR_BYTES, strict=False)


def put_header(flash, sequence, age, sectors=0, ring_id=0x1234, version=None):
    sectors = sectors or flash.sector_count
    sector.pack(HEAD, sectors, age, ring_id, 0, sequence, 1 + sequence * 10, sequence * 10)
    if version is not None:
        HEAD[3] = ord(version)
    start = sequence % sectors * SECTOR_BYTES
    flash.memory[start : start + SECTOR_BYTES] = b"\xff" * SECTOR_BYTES
    flash.memory[start : start + len(HEAD)] = HEAD


def ring_of(sectors, newest):
    """Return a part as `newest` sectors opened one after the other would leave it."""
    flash = flash_of(sectors)
    for sequence in range(max(0, newest - sectors + 1), newest + 1):
        put_header(flash, sequence, max(0, sequence - 1))
    return flash


def rot(flash, sequence):
    flash.memory[sequence % flash.sector_count * SECTOR_BYTES + 16] ^= 4


def test_every_break_is_found_in_the_first_laps():
    for sectors in (3, 4, 5, 8, 13):
        for newest in range(1, 3 * sectors):
            assert Ring(ring_of(sectors, newest)).newest == newest, (sectors, newest)


def test_it_reads_few_headers():
    for sectors, halvings in ((16, 4), (64, 6), (256, 8)):
        for newest in (1, sectors // 3, sectors - 1, sectors, 2 * sectors + 17, 5 * sectors - 2):
            flash = ring_of(sectors, newest)
            ring = Ring(flash)
            pages = SECTOR_BYTES // 256
            assert ring.newest == newest
            # In the first lap every second look meets sectors that were never written, and looks at two more.
            looks = halvings if newest >= sectors - 1 else 3 * halvings
            assert flash.reads <= looks + pages + 9, (sectors, newest, flash.reads)


def test_an_erased_sector_ahead_does_not_hide_the_break():
    for newest in range(1, 40):
        flash = ring_of(8, newest)
        start = (newest + 1) % 8 * SECTOR_BYTES
        flash.memory[start : start + SECTOR_BYTES] = b"\xff" * SECTOR_BYTES
        assert Ring(flash).newest == newest


def test_any_one_rotten_header_is_survived():
    for sectors in (5, 16):
        for newest in range(2, 3 * sectors):
            for bad in range(max(0, newest - sectors + 1), newest):
                flash = ring_of(sectors, newest)
                rot(flash, bad)
                assert Ring(flash).newest == newest, (sectors, newest, bad)


def test_sectors_that_were_passed_over_do_not_hide_the_break():
    for newest in range(3, 40):
        flash = ring_of(8, newest)
        rot(flash, newest - 1)
        rot(flash, newest - 2)
        assert Ring(flash).newest == newest


def test_rotten_headers_in_a_row_cost_a_full_look_but_no_sector():
    flash = ring_of(64, 200)
    for bad in range(160, 176):
        rot(flash, bad)
    assert Ring(flash).newest == 200


def test_leftovers_of_another_ring_do_not_win():
    flash = ring_of(16, 40)
    for place in (3, 9):
        put_header(flash, 16 * 1000 + place, 500, ring_id=0x9999)
    ring = Ring(flash)
    assert (ring.newest, ring.ring_id) == (40, 0x1234)


def test_a_region_that_has_grown_keeps_its_ring_and_takes_the_room_once_it_is_empty():
    part = flash_of(12)
    small = Ring(SubRegion(part, 0, 5))
    for number in range(1, 200):
        small.append(1, b"%20d" % number)
        if number <= 180:
            small.forget(number)
    grown = Ring(part)
    assert (grown.sectors, grown.ring_id, grown.next_number) == (5, small.ring_id, 200)
    assert grown.pending == 19
    grown.forget(199)
    while grown.sectors == 5:
        grown.forget(grown.append(1, b"%20d" % grown.next_number))
    for _ in range(300):
        grown.append(1, b"%20d" % grown.next_number)
    again = Ring(part)
    assert again.sectors == 12 and again.ring_id == small.ring_id and again.next_number == grown.next_number
    assert again.pending > 5 * 28, "the new sectors are in use"
    buffer = memoryview(bytearray(220))
    reader = again.reader()
    for number in range(again.oldest, again.next_number):
        assert reader.next(buffer) == 20 and reader.number == number and int(bytes(buffer[:20])) == number


def test_a_ring_that_does_not_fit_any_more_is_not_overwritten():
    part = flash_of(12)
    ring = Ring(part)
    for _ in range(60):
        ring.append(1, bytes(20))
    before = bytes(part.memory)
    with raises(RegionUnusable) as refusal:
        Ring(SubRegion(part, 0, 8))
    assert "12 sectors" in refusal.message
    with raises(RegionUnusable) as refusal:
        Ring(SubRegion(part, 1, 11))
    assert "begin" in refusal.message
    assert part.memory == before


def test_a_ring_of_another_format_version_is_not_overwritten():
    part = flash_of(4)
    put_header(part, 0, 0, version="3")
    with raises(RegionUnusable) as refusal:
        Ring(part)
    assert "version 3" in refusal.message


def test_a_region_full_of_anything_else_is_taken():
    part = flash_of(4)
    part.memory[:] = bytes((index * 31 ^ index >> 3) & 0xFF for index in range(len(part.memory)))
    ring = Ring(part)
    assert ring.newest == -1 and ring.pending == 0
    assert ring.append(1, b"first") == 1
    assert Ring(part).ring_id == ring.ring_id
