"""Rot, disturbed neighbours and headers that are gone: what they cost, and that it is counted."""

from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.ring import sector
from fieldpost.ring.log import Ring

from host_tools.emulator.nor_flash import NorFlash, PowerCut

SECTOR_BYTES = 1024
PAGE_BYTES = 256
BUFFER = memoryview(bytearray(RECORD_BYTES_MAX))


def flash_of(sectors=5, **keys):
    keys.setdefault("strict", False)
    return NorFlash(sectors * SECTOR_BYTES, sector_bytes=SECTOR_BYTES, **keys)


def payload(number):
    return bytes([(number * 7 + i) & 0xFF for i in range(20)])


def filled(records, sectors=5):
    """Return a ring on a part with so many records; 20 bytes each, none forgotten."""
    ring = Ring(flash_of(sectors))
    for number in range(1, records + 1):
        assert ring.append(1, payload(number)) == number
    return ring


def numbers(ring):
    """Return the numbers that can be read; what is read must be what was stored."""
    reader = ring.reader()
    found = []
    while reader.next(BUFFER) >= 0:
        assert BUFFER[:20] == payload(reader.number)
        found.append(reader.number)
    return found


def test_a_flipped_bit_costs_one_record_at_most_and_no_number_is_used_again():
    ring = filled(41)
    flash = ring.region
    for offset in range(0, len(flash.memory), 5):
        flash.memory[offset] ^= 0x10
        after = Ring(flash)
        found = numbers(after)
        assert len(found) >= 40, offset
        # Where the head of the last frame has rotted it may have been two, and behind it something may have stood.
        assert after.ring_id == ring.ring_id and 42 <= after.next_number <= 42 + PAGE_BYTES // 12, offset
        flash.memory[offset] ^= 0x10


def test_a_page_that_is_gone_costs_its_records_and_they_are_counted():
    ring = filled(60)
    flash = ring.region
    image = bytes(flash.memory)
    for page in range(0, len(image), PAGE_BYTES):
        for value in (0, 0x5A):
            flash.memory[page : page + PAGE_BYTES] = bytes([value]) * PAGE_BYTES
            after = Ring(flash)
            found = numbers(after)
            missing = set(range(1, 61)) - set(found)
            assert len(missing) <= PAGE_BYTES // 32, (page, missing)
            assert after.ring_id == ring.ring_id and after.next_number >= 61, page
            assert after.damaged or not missing, page
            flash.memory[:] = image


def test_the_header_of_the_newest_sector_may_rot_at_any_fill():
    for records in range(1, 90):
        ring = filled(records)
        start = ring.newest % 5 * SECTOR_BYTES
        ring.region.memory[start + 20] ^= 1
        after = Ring(ring.region)
        assert numbers(after) == list(range(1, records + 1)), records
        assert after.next_number == records + 1 and after.ring_id == ring.ring_id, records
        assert after.append(1, payload(records + 1)) == records + 1
        assert numbers(Ring(ring.region)) == list(range(1, records + 2)), records


def test_a_neighbour_that_was_disturbed_closes_the_sector():
    ring = filled(12)
    offset = ring.newest % 5 * SECTOR_BYTES + PAGE_BYTES
    ring.region.memory[offset + 8] ^= 1  # inside a frame of the second page
    ring.region.cut_at(0, 9)
    try:
        ring.append(1, payload(13))
    except PowerCut:
        ring.region.power_up()
    after = Ring(ring.region)
    assert after.damaged == 2 and after.next_number == 14
    newest = after.newest
    after.append(1, payload(14))
    assert after.newest == newest + 1


def test_a_torn_record_takes_its_number_with_it_whatever_is_left_of_it():
    for after_bytes in range(1, 32):
        ring = filled(3)
        ring.region.cut_at(0, after_bytes)
        try:
            ring.append(1, payload(4))
            raise AssertionError("no cut")
        except PowerCut:
            ring.region.power_up()
        after = Ring(ring.region)
        whole = numbers(after) == [1, 2, 3, 4]
        assert whole or numbers(after) == [1, 2, 3]
        number = after.append(1, payload(5)) if after.next_number == 5 else 0
        assert number == 5, after_bytes


def test_an_acknowledgement_that_is_torn_uses_up_no_number():
    for after_bytes in range(7, 16):
        ring = filled(3)
        ring.region.cut_at(0, after_bytes)
        try:
            ring.forget(2)
        except PowerCut:
            ring.region.power_up()
        after = Ring(ring.region)
        assert after.next_number == 4 and after.cursor in (0, 2), after_bytes


def test_what_the_flash_does_not_take_costs_no_record():
    flash = flash_of()
    ring = Ring(flash)
    for number in range(1, 200):
        if number % 9 == 0:
            # A stuck bit where the next frame goes: its read-back fails, and it goes to another page.
            start = ring.newest % 5 * SECTOR_BYTES + min(ring.open_page, 3) * PAGE_BYTES
            flash.memory[start + PAGE_BYTES - 1] = 0x00
        assert ring.append(1, payload(number)) == number
        ring.forget(max(number - 20, ring.cursor))
    assert numbers(Ring(flash)) == list(range(180, 200))


def test_numbers_and_sequences_go_on_past_32_bits():
    """The lower 32 bits wrap inside a sector, between two sectors, and in the sequence number."""
    for first_number in (0xFFFF, 0x3FFFFFFC, 0xFFFFFFFD, 0x1FFFFFFFE):
        for sequence in (0xFFFF, 0xFFFFFFFE, 0x100000003):
            flash = flash_of()
            head = memoryview(bytearray(sector.HEADER_BYTES))
            sector.pack(head, 5, sector.AGE_MAX, 0xABCD, 7, sequence, first_number, first_number - 1)
            flash.program(sequence % 5 * SECTOR_BYTES, head)
            ring = Ring(flash)
            assert ring.next_number == first_number and ring.cursor == first_number - 1 and ring.lost == 7
            expected = []
            for step in range(150):
                expected.append(ring.append(1, payload(ring.next_number)))
                if step % 4 == 3:
                    ring.forget(expected[1])
                    expected = expected[2:]
                if step % 20 == 19:
                    ring = Ring(flash)
            assert expected[-1] == first_number + 149
            assert numbers(Ring(flash)) == expected[-len(numbers(ring)) :]
            assert len(numbers(ring)) == ring.pending and ring.newest > sequence + 3


def test_any_number_of_headers_behind_each_other_may_rot():
    """Also in the first lap, where nothing tells blank sectors from rotten ones but that they are not blank."""
    for laps in (0, 1):
        for gone in range(1, 5):
            ring = filled(130 + laps * 200, sectors=8)
            ring.forget(ring.next_number - 20)
            newest = ring.newest
            assert (newest > 8) == bool(laps)
            for sequence in range(newest - gone + 1, newest + 1):
                ring.region.memory[sequence % 8 * SECTOR_BYTES + 20] ^= 1
            after = Ring(ring.region)
            assert (after.newest, after.next_number) == (newest, ring.next_number), (laps, gone)
            assert numbers(after) == numbers(ring)
            last = after.next_number + 30
            while after.next_number < last:
                after.append(1, payload(after.next_number))
            assert numbers(Ring(ring.region)) == numbers(after) and Ring(ring.region).next_number == last


def test_a_page_that_lands_at_a_wrong_place_of_its_own_sector_moves_no_number():
    ring = filled(65)
    start = ring.newest % 5 * SECTOR_BYTES
    memory = ring.region.memory
    assert ring.open_page < 3
    memory[start + 3 * PAGE_BYTES : start + 4 * PAGE_BYTES] = memory[start + PAGE_BYTES : start + 2 * PAGE_BYTES]
    after = Ring(ring.region)
    assert after.next_number == 66 and numbers(after) == numbers(ring)
    assert after.append(1, payload(66)) == 66
    assert numbers(Ring(ring.region))[-1] == 66


def test_an_acknowledgement_out_of_place_takes_nothing_back():
    ring = filled(10)
    ring.forget(5)
    start = ring.newest % 5 * SECTOR_BYTES + ring.open_page * PAGE_BYTES
    page = bytes(ring.region.memory[start : start + PAGE_BYTES])
    while ring.next_number < 17:
        ring.append(1, payload(ring.next_number))
    ring.forget(13, 2)
    start = ring.newest % 5 * SECTOR_BYTES + 3 * PAGE_BYTES
    assert ring.open_page < 3
    ring.region.memory[start : start + PAGE_BYTES] = page
    after = Ring(ring.region)
    assert (after.cursor, after.lost, after.next_number) == (13, 2, 17)


def test_the_first_page_of_a_sector_may_go_with_all_that_was_in_it():
    """From the second lap on its records are lost, and counted, but their numbers are not used again.

    In the first lap what stands behind the newest sector may be somebody else's.
    """
    for records in range(125, 235):
        ring = filled(records)
        start = ring.newest % 5 * SECTOR_BYTES
        before = numbers(ring)
        for index in range(PAGE_BYTES):
            ring.region.memory[start + index] &= 0x5A
        after = Ring(ring.region)
        assert after.next_number > records and after.damaged, records
        assert len(set(before) - set(numbers(after))) <= PAGE_BYTES // 32, records


def test_a_header_that_rots_with_its_only_records_gives_no_number_away():
    for records in range(30, 200):
        ring = filled(records)
        start = ring.newest % 5 * SECTOR_BYTES
        if ring.open_page or ring.newest < 2:
            continue
        ring.region.memory[start + 30] ^= 2
        for offset in range(sector.HEADER_BYTES + 10, PAGE_BYTES, 20):
            ring.region.memory[start + offset] ^= 1
        assert Ring(ring.region).next_number > records, records


def test_headers_that_no_ring_writes_are_none():
    head = memoryview(bytearray(sector.HEADER_BYTES))
    sound = (5, 0, 0xABCD, 0, 5, 100, 99)
    for place, value in (
        (sector.SECTORS, 0),
        (sector.SECTORS, 2),
        (sector.SEQUENCE, 1 << 62),
        (sector.FIRST_NUMBER, (1 << 64) - 1),
        (sector.FIRST_NUMBER, 99),
        (sector.CURSOR, 100),
    ):
        fields = list(sound)
        fields[place] = value
        sector.pack(head, *fields)
        assert sector.unpack(head) is None, (place, value)
        flash = flash_of()
        flash.program(0, head)
        assert Ring(flash).append(1, payload(1)) == 1
    sector.pack(head, *sound)
    assert sector.unpack(head) == sound


def test_a_ring_without_any_header_left_is_counted_as_damage():
    ring = filled(30)
    for place in range(5):
        ring.region.memory[place * SECTOR_BYTES + 9] ^= 4
    assert Ring(ring.region).damaged == ring.newest + 1
    assert Ring(flash_of()).damaged == 0


def test_what_an_earlier_lap_left_is_never_read():
    """Frames that stand behind a newer header, as an erase in part or a page at a wrong place leaves them."""
    ring = filled(60)
    memory = ring.region.memory
    place = ring.newest % 5
    start = place * SECTOR_BYTES + 2 * PAGE_BYTES
    for number in range(61, 130):
        ring.append(1, payload(number))
    old = bytes(memory[start : start + 2 * PAGE_BYTES])
    number = 130
    while ring.newest % 5 != place or ring.newest == place or ring.open_page != 1:
        ring.append(1, payload(number))
        number += 1
    before = numbers(ring)
    assert not all(byte == 0xFF for byte in old)
    memory[start : start + 2 * PAGE_BYTES] = old
    after = Ring(ring.region)
    assert numbers(after) == before and after.damaged
    assert after.next_number >= number
    assert numbers(Ring(ring.region))[-1] == number - 1


def test_a_bit_that_cannot_be_programmed_is_seen_at_once_and_costs_no_record():
    class Worn(NorFlash):
        def program(self, offset, data):
            NorFlash.program(self, offset, data)
            for stuck in range(100, 5 * SECTOR_BYTES, 611):
                if offset <= stuck < offset + len(data):
                    self.memory[stuck] |= 0xFF

    flash = Worn(5 * SECTOR_BYTES, sector_bytes=SECTOR_BYTES, strict=False)
    ring = Ring(flash)
    for number in range(1, 300):
        assert ring.append(1, payload(number)) == number
        ring.forget(max(number - 20, ring.cursor))
    assert ring.damaged
    assert numbers(Ring(flash)) == list(range(280, 300))


def test_a_supply_that_flutters_erases_nothing():
    ring = filled(200)
    ring.forget(200)
    erases = ring.region.erases
    for _ in range(20):
        assert not Ring(ring.region).maintain()
    assert ring.region.erases == erases
