"""The ring against a list: what append accepted is read in order until it is forgotten."""

from fieldpost.errors import RecordTooLarge, RegionUnusable
from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.ring.log import Ring
from support import raises

from host_tools.emulator.nor_flash import NorFlash, PowerCut

SECTORS = 4
SECTOR_BYTES = 1024  # four pages: small, so that every cut is tried in seconds
BUFFER = memoryview(bytearray(RECORD_BYTES_MAX))


def flash_of(sectors=SECTORS, **keys):
    return NorFlash(sectors * SECTOR_BYTES, sector_bytes=SECTOR_BYTES, **keys)


def records(ring):
    """Return [(number, kind, payload)] of everything that is kept."""
    reader = ring.reader()
    found = []
    while True:
        length = reader.next(BUFFER)
        if length < 0:
            return found
        found.append((reader.number, reader.kind, bytes(BUFFER[:length])))


def payload(number, length=20):
    return bytes((number * 7 + i) & 0xFF for i in range(length))


def test_records_come_back_in_order_and_numbered_from_one():
    ring = Ring(flash_of())
    for number in range(1, 31):
        assert ring.append(1 + number % 3, payload(number, number)) == number
    expected = [(n, 1 + n % 3, payload(n, n)) for n in range(1, 31)]
    assert records(ring) == expected
    assert records(Ring(ring.region)) == expected
    assert ring.pending == 30 and ring.oldest == 1


def test_a_reader_sees_what_is_appended_after_it_reached_the_end():
    ring = Ring(flash_of())
    reader = ring.reader()
    assert reader.next(BUFFER) == -1
    for number in range(1, 60):
        ring.append(1, payload(number))
        assert reader.next(BUFFER) == 20
        assert reader.number == number and bytes(BUFFER[:20]) == payload(number)
        assert reader.next(BUFFER) == -1


def test_a_reader_that_follows_at_any_distance_misses_nothing():
    for stride in range(1, 40):
        ring = Ring(flash_of())
        reader = ring.reader()
        expected = 1
        for number in range(1, 150):
            ring.append(1, payload(number))
            if number % stride == 0:
                while reader.next(BUFFER) >= 0:
                    assert reader.number == expected, stride
                    expected += 1
                assert expected == number + 1, stride


def test_forgotten_records_stay_forgotten_after_a_restart():
    ring = Ring(flash_of())
    for number in range(1, 21):
        ring.append(1, payload(number))
    ring.forget(12, lost=2)
    again = Ring(ring.region)
    assert [number for number, _, _ in records(again)] == list(range(13, 21))
    assert (again.cursor, again.lost, again.pending, again.next_number) == (12, 2, 8, 21)


def test_overflow_drops_oldest_sectors_and_the_gap_tells_exactly_how_much():
    ring = Ring(flash_of())
    for number in range(1, 301):
        ring.append(1, payload(number))
        kept = records(ring)
        assert [n for n, _, _ in kept] == list(range(ring.oldest, number + 1))
        assert kept[-1] == (number, 1, payload(number))
        assert ring.cursor == 0 and ring.pending == len(kept)
    assert ring.oldest > 150, "the region never overflowed"
    assert records(Ring(ring.region)) == records(ring)


def test_recovery_writes_nothing_and_numbers_go_on():
    flash = flash_of()
    for boot in range(40):
        before = flash.operations, bytes(flash.memory)
        ring = Ring(flash)
        assert (flash.operations, bytes(flash.memory)) == before
        assert ring.append(1, b"boot %d" % boot) == boot + 1
    assert flash.violations == 0


def test_the_ring_id_is_drawn_once():
    ring = Ring(flash_of())
    ring.append(1, b"")
    assert Ring(ring.region).ring_id == ring.ring_id
    assert Ring(flash_of()).ring_id != ring.ring_id


def test_seek_finds_the_record_or_the_next_one_kept():
    ring = Ring(flash_of())
    for number in range(1, 200):
        ring.append(1, payload(number))
    reader = ring.reader()
    for number in range(1, 200):
        reader.seek(number)
        assert reader.next(BUFFER) == 20
        assert reader.number == max(number, ring.oldest)


def test_maintain_erases_ahead_only_what_is_forgotten():
    flash = flash_of()
    ring = Ring(flash)
    assert not ring.maintain(), "nothing may be erased before the first append"
    ring.append(1, b"x")
    assert ring.maintain() and not ring.maintain()
    for number in range(2, 400):
        ring.append(1, payload(number))
        erases = flash.erases
        ring.forget(number)
        assert flash.erases <= erases + 1
        ring.maintain()
    assert ring.pending == 0 and ring.lost == 0
    full = Ring(flash_of())
    while full.oldest == 1:
        full.append(1, payload(full.next_number))
    full.append(1, b"x")
    assert not full.maintain(), "unread records must not make room before they have to"


def test_a_record_too_large_is_refused_before_anything_is_written():
    flash = flash_of()
    ring = Ring(flash)
    with raises(RecordTooLarge):
        ring.append(1, bytes(RECORD_BYTES_MAX + 1))
    assert flash.operations == 0
    assert ring.append(1, bytes(RECORD_BYTES_MAX)) == 1


def test_a_region_that_cannot_hold_a_ring_is_refused():
    with raises(RegionUnusable):
        Ring(flash_of(2))
    with raises(RegionUnusable):
        Ring(NorFlash(8192, sector_bytes=1024, page_bytes=128))


def test_write_once_units_hold_a_ring():
    for unit_bytes in (4, 16, 32):
        flash = flash_of(unit_bytes=unit_bytes, write_once=True)
        ring = Ring(flash)
        for number in range(1, 120):
            ring.append(1, payload(number))
            if number % 5 == 0:
                ring.forget(number - 3)
        assert Ring(flash).cursor == 112
        assert [n for n, _, _ in records(Ring(flash))] == list(range(113, 120))


def run_cut(flash, ring, journal):
    """Append and forget until the power fails; `journal` notes what was promised."""
    try:
        while journal["steps"] < 130:
            number = journal["attempt"] = ring.next_number
            ring.append(1, payload(number))
            journal["appended"] = number
            if number % 4 == 0:
                journal["forget"] = number - 2
                ring.forget(number - 2)
                journal["forgotten"] = number - 2
            if number % 3 == 0:
                ring.maintain()
            journal["steps"] += 1
    except PowerCut:
        flash.power_up()
        return True
    return False


def check_after_cut(flash, journal, context):
    ring = Ring(flash)
    found = records(ring)
    numbers = [number for number, _, _ in found]
    assert all(data == payload(number) for number, _, data in found), context
    # A torn frame takes its number with it, or a few where its head cannot be read.
    assert numbers in (
        list(range(ring.oldest, journal["appended"] + 1)),
        list(range(ring.oldest, journal["attempt"] + 1)),
    )
    assert journal["appended"] < ring.next_number <= journal["attempt"] + 3, context
    assert ring.cursor in (journal["forgotten"], journal["forget"]), context
    assert ring.oldest == ring.cursor + 1, context
    return ring


def test_no_cut_at_any_operation_costs_a_record():
    """Goal: after a cut inside any flash operation, exactly the appended and not forgotten are read.

    Method: the same workload, three laps of the region, cut one operation later each time, in four ways;
    then one more boot goes on from there to see that what was left can be written again.
    """
    cuts = 0
    for after_bytes in (-1, 0, 5, 256):
        operation = 0
        while True:
            flash = flash_of(strict=False, seed=operation + 1)
            flash.cut_at(operation, after_bytes)
            journal = {"steps": 0, "appended": 0, "attempt": 0, "forget": 0, "forgotten": 0}
            if not run_cut(flash, Ring(flash), journal):
                break
            context = (operation, after_bytes)
            ring = check_after_cut(flash, journal, context)
            before = records(ring)
            number = ring.append(2, b"after the cut")
            assert records(Ring(flash)) == before + [(number, 2, b"after the cut")], context
            cuts += 1
            operation += 1 if cuts < 40 else 3
    assert cuts > 200, cuts
