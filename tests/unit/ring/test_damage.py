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
