"""The NOR flash model keeps the rules of the part, and breaks them only where real parts do."""

from support import raises

from host_tools.emulator.nor_flash import NorFlash, PowerCut

SECTOR_BYTES = 1024
PAGE_BYTES = 128


def small_flash(**keys):
    return NorFlash(4 * SECTOR_BYTES, sector_bytes=SECTOR_BYTES, page_bytes=PAGE_BYTES, **keys)


def read(flash, offset, length):
    buffer = bytearray(length)
    flash.read(offset, buffer)
    return bytes(buffer)


def test_a_new_part_is_erased_and_a_program_only_clears_bits():
    flash = small_flash()
    assert read(flash, 0, 4) == b"\xff\xff\xff\xff"
    flash.program(10, b"\xf0\x55")
    flash.program(10, b"\xff\x50")
    assert read(flash, 9, 4) == b"\xff\xf0\x50\xff"
    assert flash.violations == 0
    assert (flash.programs, flash.bytes_programmed, flash.operations) == (2, 4, 2)


def test_asking_a_zero_to_become_one_is_refused_or_counted():
    flash = small_flash()
    flash.program(0, b"\x0f")
    with raises(ValueError):
        flash.program(0, b"\xf0")
    assert flash.violations == 1

    lenient = small_flash(strict=False)
    lenient.program(0, b"\x0f")
    lenient.program(0, b"\x3c")
    assert read(lenient, 0, 1) == b"\x0c"
    assert lenient.violations == 1


def test_an_erase_sets_one_sector_and_is_counted_for_it():
    flash = small_flash()
    for sector in range(4):
        flash.program(sector * SECTOR_BYTES, b"\x00")
    flash.erase(2)
    flash.erase(2)
    heads = [read(flash, sector * SECTOR_BYTES, 1) for sector in range(4)]
    assert heads == [b"\x00", b"\x00", b"\xff", b"\x00"]
    assert flash.sector_erases == [0, 0, 2, 0]
    assert (flash.erases, flash.max_sector_erases) == (2, 2)


def test_what_a_driver_must_never_send_is_refused_and_changes_nothing():
    flash = small_flash(unit_bytes=16)
    refused = (
        lambda: flash.program(PAGE_BYTES - 16, bytes(32)),  # crosses a page
        lambda: flash.program(8, bytes(16)),  # not on a unit
        lambda: flash.program(0, bytes(8)),  # not a whole unit
        lambda: flash.program(4 * SECTOR_BYTES, bytes(16)),
        lambda: flash.program(-16, bytes(16)),
        lambda: flash.read(4 * SECTOR_BYTES - 1, bytearray(2)),
        lambda: flash.erase(4),
        lambda: flash.erase(-1),
        lambda: flash.cut_at(-1),
    )
    for attempt in refused:
        with raises(ValueError):
            attempt()
    assert flash.operations == 0
    assert bytes(flash.memory) == b"\xff" * len(flash.memory)


def test_memory_of_broken_sectors_is_refused():
    with raises(ValueError):
        NorFlash(SECTOR_BYTES + 1, sector_bytes=SECTOR_BYTES)
    with raises(ValueError):
        NorFlash(0)


def test_a_write_once_unit_takes_one_program_between_erases():
    flash = small_flash(unit_bytes=16, write_once=True)
    flash.program(0, bytes(16))
    flash.program(16, bytes(16))
    with raises(ValueError):
        flash.program(16, b"\xff" * 16)
    flash.erase(0)
    flash.program(16, bytes(16))
    assert flash.programs == 3


def test_a_program_can_be_cut_after_every_byte():
    """Goal: what a cut leaves is a prefix, then one byte with some of its bits cleared, then old bytes."""
    data = bytes(range(40, 72))
    partial = 0
    for whole in range(len(data) + 1):
        flash = small_flash(seed=whole + 1)
        flash.cut_at(1, after_bytes=whole)
        flash.program(0, b"\x11")
        with raises(PowerCut):
            flash.program(PAGE_BYTES, data)
        with raises(PowerCut):
            read(flash, 0, 1)
        assert flash.was_cut
        flash.power_up()
        left = read(flash, PAGE_BYTES, len(data))
        assert left[:whole] == data[:whole]
        if whole < len(data):
            assert left[whole] & data[whole] == data[whole]  # no bit was cleared that nobody asked for
            partial += left[whole] not in (data[whole], 0xFF)
        assert left[whole + 1 :] == b"\xff" * (len(data) - whole - 1)
        assert flash.bytes_programmed == 1
    assert partial > 5, "the byte under way was never left half done"


def test_a_scattered_cut_clears_a_subset_of_the_bits_anywhere():
    flash = small_flash(seed=9)
    data = bytes(64)
    flash.cut_at(0, scattered=True)
    with raises(PowerCut):
        flash.program(0, data)
    flash.power_up()
    left = read(flash, 0, 64)
    assert left != data
    assert left != b"\xff" * 64
    assert len(set(left)) > 10


def test_an_interrupted_erase_shows_every_known_picture():
    """Goal: old bytes, zeros on the way, bits on their way up, and a sector that only looks erased."""
    seen = set()
    for seed in range(1, 60):
        flash = small_flash(seed=seed)
        for offset in range(0, SECTOR_BYTES, PAGE_BYTES):
            flash.program(offset, b"\x5a" * PAGE_BYTES)
        flash.cut_at(0)
        with raises(PowerCut):
            flash.erase(0)
        flash.power_up()
        found = set(flash.memory[:SECTOR_BYTES])
        if found == {0x5A}:
            seen.add("old")
        elif found == {0xFF}:
            seen.add("weak")
            assert flash.has_weak_sectors
        elif found == {0x5A, 0x00}:
            seen.add("zeros")
        else:
            assert all(value & 0x5A == 0x5A for value in found)
            seen.add("rising")
    assert seen == {"old", "weak", "zeros", "rising"}


def test_weak_bits_flip_until_the_sector_is_erased_again():
    flash = weak_flash()
    reads = [read(flash, 0, SECTOR_BYTES) for _ in range(20)]
    assert len(set(reads)) > 1, "a weak sector always read the same"
    assert flash.weak_span == (0, SECTOR_BYTES)
    flash.erase(0)
    assert read(flash, 0, SECTOR_BYTES) == b"\xff" * SECTOR_BYTES
    assert not flash.has_weak_sectors
    assert flash.weak_span == (0, 0)


def weak_flash():
    for seed in range(1, 60):
        flash = small_flash(seed=seed)
        flash.cut_at(0)
        with raises(PowerCut):
            flash.erase(0)
        flash.power_up()
        if flash.has_weak_sectors:
            return flash
    raise AssertionError("no seed left a weak sector")


def test_the_same_seed_leaves_the_same_picture():
    def picture(seed):
        flash = small_flash(seed=seed)
        flash.cut_at(1)
        flash.program(0, bytes(PAGE_BYTES))
        try:
            flash.program(PAGE_BYTES, bytes(range(PAGE_BYTES)))
        except PowerCut:
            flash.power_up()
        return bytes(flash.memory)

    assert [picture(seed) for seed in range(1, 9)] == [picture(seed) for seed in range(1, 9)]
    assert len({picture(seed) for seed in range(1, 9)}) > 4


def test_power_can_go_between_two_operations():
    flash = small_flash()
    flash.program(0, b"\x12")
    flash.cut_off()
    with raises(PowerCut):
        flash.program(1, b"\x34")
    flash.power_up()
    assert read(flash, 0, 2) == b"\x12\xff"
