"""Whatever flash holds, a ring opens or says why not, counts what is damaged, and goes on with numbers of its own.

Goal: no image of a region makes the ring hang, raise anything but RegionUnusable, write while it opens, give back a
record that was not stored, or use a number twice. Method: seeded images, from random bytes to a real ring with rot,
foreign data, well-made headers that lie, or a region of another size; each is opened, drained, written to and
opened again on a part that refuses to be read endlessly. A failure names its seed.
"""

import os
import random

import pytest
from fieldpost.errors import RegionUnusable
from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.ring import frame, sector
from fieldpost.ring.log import Ring

from host_tools.emulator.nor_flash import NorFlash

SECTOR_BYTES, PAGE_BYTES = 1024, 256
FEW_FLIPS = 8
BUFFER = memoryview(bytearray(RECORD_BYTES_MAX))
# Of each kind; more of them: FIELDPOST_FUZZ_CASES=20000 tests/run.sh power/test_ring_fuzz.py
CASES = int(os.environ.get("FIELDPOST_FUZZ_CASES", "400"))


class BoundedFlash(NorFlash):
    """A part that fails a test which reads it without end."""

    def __init__(self, memory, unit_bytes=4):
        super().__init__(memory, sector_bytes=SECTOR_BYTES, unit_bytes=unit_bytes, strict=False)
        self.reads_left = 0

    def read(self, offset, buffer):
        self.reads_left -= 1
        assert self.reads_left >= 0, "read without end"
        super().read(offset, buffer)

    def allow(self, laps):
        """Let every page of the region be read so often, and its headers."""
        self.reads_left = laps * self.sector_count * (SECTOR_BYTES // PAGE_BYTES + 2) + 64


def payload(number):
    return random.Random(number).randbytes(number * 7 % 61)


def drained(ring):
    """Return what a reader gives from beginning to end, as (number, payload); numbers must rise."""
    ring.region.allow(8)
    reader = ring.reader()
    found = []
    while (length := reader.next(BUFFER)) >= 0:
        assert not found or found[-1][0] < reader.number
        found.append((reader.number, bytes(BUFFER[:length])))
    return found


def opened(flash):
    """Return the ring on `flash`, None if it is refused. Opening must read little and write nothing."""
    before, operations = bytes(flash.memory), flash.operations
    flash.allow(4)
    try:
        ring = Ring(flash)
    except RegionUnusable:
        ring = None
    assert flash.operations == operations and flash.memory == before
    return ring


def goes_on(ring, generator):
    """Demand that a ring that opened takes records, keeps them over a restart and lets go of them."""
    flash = ring.region
    last = ring.next_number - 1
    appended = {}
    for _ in range(generator.randrange(1, 120)):
        flash.allow(8)
        number = ring.append(1, payload(last + 1))
        assert number == last + 1, "numbers are given one by one"
        last = number
        appended[number] = payload(number)
        if generator.random() < 0.1:
            flash.allow(8)
            ring.maintain()
    again = opened(flash)
    for one in (ring, again):
        found = drained(one)
        assert one.next_number > last
        assert found and found[-1] == (last, appended[last])
        kept = [number for number, _ in found if number in appended]
        assert kept == list(range(kept[0], last + 1)), "of what was just appended the oldest go first"
        assert all(data == appended[number] for number, data in found if number in appended)
    flash.allow(8)
    again.forget(again.next_number - 1)
    assert again.pending == 0 and drained(opened(flash)) == []


def lived_in(generator, sectors, unit_bytes=4):
    """Return a ring with a past: records of all sizes, acknowledgements, restarts; and how many records it took."""
    flash = BoundedFlash(sectors * SECTOR_BYTES, unit_bytes)
    flash.allow(1000)
    ring = Ring(flash)
    last = 0
    for _ in range(generator.randrange(1, 40 * sectors)):
        choice = generator.random()
        if choice < 0.85:
            last = ring.append(1, payload(ring.next_number))
        elif choice < 0.93:
            ring.forget(generator.randrange(ring.cursor, last + 1))
        elif choice < 0.97:
            ring.maintain()
        else:
            ring = Ring(flash)
    return ring, last


def check_rotten(seed):
    """Flip 1 to 50 bits anywhere: what is still read is what was stored, what is not is counted, numbers go on.

    A few bits never make a number come twice. Many can: where the tail's last frames are hit together, they may look
    like one that was cut; and where no header is left, the ring's identity is gone with them, or one that names another
    version has the region refused.
    """
    generator = random.Random(seed)
    ring, last = lived_in(generator, generator.randrange(3, 9), generator.choice((4, 16, 32)))
    flash = ring.region
    expected = [number for number, _ in drained(ring)]
    flips = generator.randrange(1, 51)
    for _ in range(flips):
        flash.memory[generator.randrange(len(flash.memory))] ^= 1 << generator.randrange(8)
    after = opened(flash)
    if after is None:
        return
    found = drained(after)
    assert all(data == payload(number) for number, data in found)
    missing = set(expected) - {number for number, _ in found}
    assert after.damaged or not missing, missing
    if after.newest >= 0 and flips <= FEW_FLIPS:
        assert after.next_number > last, "a number would be given twice"
    goes_on(after, generator)


def check_one_page(seed):
    """Spoil one page whatever way: only what stood in it is missing, that is counted, and no number comes twice."""
    generator = random.Random(seed)
    ring, last = lived_in(generator, generator.randrange(3, 9))
    flash = ring.region
    expected = [number for number, _ in drained(ring)]
    if ring.newest < ring.sectors:
        return  # what stands behind the newest sector may still be somebody else's
    start = generator.randrange(len(flash.memory)) // PAGE_BYTES * PAGE_BYTES
    page = bytes(flash.memory[start : start + PAGE_BYTES])
    spoilt = generator.choice((generator.randbytes(PAGE_BYTES), bytes(PAGE_BYTES), b"\x5a" * PAGE_BYTES))
    flash.memory[start : start + PAGE_BYTES] = bytes(old & new for old, new in zip(page, spoilt, strict=True))
    after = opened(flash)
    found = drained(after)
    assert all(data == payload(number) for number, data in found)
    missing = set(expected) - {number for number, _ in found}
    assert len(missing) <= PAGE_BYTES // 12 and (after.damaged or not missing), missing
    assert after.next_number > last, "a number would be given twice"
    goes_on(after, generator)


def check_foreign(seed):
    """Overwrite stretches with what others might leave there, up to the whole region."""
    generator = random.Random(seed)
    ring, _ = lived_in(generator, generator.randrange(3, 9))
    memory = ring.region.memory
    for _ in range(generator.randrange(1, 6)):
        start = generator.randrange(len(memory)) // 64 * 64
        end = min(start + generator.choice((64, PAGE_BYTES, SECTOR_BYTES, len(memory))), len(memory))
        kind = generator.randrange(5)
        if kind == 0:
            memory[start:end] = generator.randbytes(end - start)
        elif kind == 1:
            memory[start:end] = bytes([generator.choice((0x00, 0xFF, 0x5A))]) * (end - start)
        elif kind == 2:
            memory[start:end] = (b"littlefs" * (end - start))[: end - start]
        elif kind == 3:  # a stretch of the ring itself, at a wrong place
            source = generator.randrange(len(memory) - (end - start) + 1)
            memory[start:end] = bytes(memory[source : source + end - start])
        else:  # heads of frames, without the rest
            head = bytes([generator.randrange(128), generator.randrange(256)]) + generator.randbytes(4)
            memory[start:end] = (head * (end - start))[: end - start]
    after = opened(ring.region)
    if after is not None:
        assert all(data == payload(number) for number, data in drained(after))
        goes_on(after, generator)


_ODD = (0, 1, 2, 3, 0xFFFF, 0x10000, 0x3FFFFFFF, 0x40000000, 0xFFFFFFFE, 0xFFFFFFFF, 1 << 32, 1 << 61, 1 << 63)


def _odd(generator, bits):
    """Return a number at or near an edge, or any, that fits in so many bits."""
    limit = (1 << bits) - 1
    value = generator.choice((generator.choice(_ODD), limit - generator.randrange(3), generator.getrandbits(bits)))
    return min(max(value + generator.randrange(-1, 2), 0), limit)


def check_lying_headers(seed):
    """Well-made headers whose fields are absurd, on a lived-in ring or on blank flash, frames behind them or not."""
    generator = random.Random(seed)
    sectors = generator.randrange(3, 9)
    ring, _ = lived_in(generator, sectors)
    flash = ring.region
    if generator.random() < 0.5:
        flash.memory[:] = b"\xff" * len(flash.memory)
    for _ in range(generator.randrange(1, 2 * sectors)):
        place = generator.randrange(sectors)
        sequence = _odd(generator, 64)
        if generator.random() < 0.8:
            sequence = max(sequence // sectors - 1, 0) * sectors + place
        ring_id = ring.ring_id if generator.random() < 0.7 else generator.getrandbits(32)
        count = sectors if generator.random() < 0.8 else _odd(generator, 16)
        first, cursor = _odd(generator, 64), _odd(generator, 64)
        head = memoryview(flash.memory)[place * SECTOR_BYTES :][: sector.HEADER_BYTES]
        sector.pack(head, count, _odd(generator, 16), ring_id, _odd(generator, 32), sequence, first, cursor)
        head.release()
        if generator.random() < 0.5:
            page = memoryview(bytearray(PAGE_BYTES))
            kind = generator.choice((1, frame.KIND_ACK))
            number = _odd(generator, 32)
            length = frame.pack(
                page, page[: frame.HEAD_BYTES], kind, number, payload(number)[:4], frame.seed(ring_id, sequence), 4
            )
            start = place * SECTOR_BYTES + generator.choice((sector.HEADER_BYTES, PAGE_BYTES))
            flash.memory[start : start + length] = page[:length]
    after = opened(flash)
    if after is not None:
        drained(after)
        goes_on(after, generator)


def check_resized(seed):
    """The region loses sectors, gains them, or begins elsewhere, after which the ring may be refused, never overrun."""
    generator = random.Random(seed)
    ring, last = lived_in(generator, generator.randrange(4, 9))
    image = bytes(ring.region.memory)
    expected = drained(ring)
    start = generator.choice((0, 0, 1, 2)) * SECTOR_BYTES
    size = generator.randrange(3, 16) * SECTOR_BYTES
    filling = generator.choice((b"\xff", b"\x00"))
    resized = BoundedFlash(bytearray((image[start:] + filling * size)[:size]))
    after = opened(resized)
    if after is None:
        assert resized.memory == (image[start:] + filling * size)[:size]
        return
    if start == 0 and size >= len(image):
        assert drained(after) == expected and after.next_number == last + 1
    goes_on(after, generator)


def check_readers(seed):
    """Readers stay open while their sectors are overwritten, and now and then rot: they skip, they never lie."""
    generator = random.Random(seed)
    ring, _ = lived_in(generator, generator.randrange(3, 6))
    flash = ring.region
    rots = generator.random() < 0.5
    readers = [(ring.reader(), [0]) for _ in range(4)]
    for _ in range(300):
        flash.allow(16)
        choice = generator.random()
        if choice < 0.7:
            ring.append(1, payload(ring.next_number), sync=generator.random() < 0.8)
        elif choice < 0.8 and ring.pending:
            ring.forget(generator.randrange(ring.oldest, ring.next_number))
        elif choice < 0.85:
            ring.maintain()
        elif choice < 0.87 and rots:
            flash.memory[generator.randrange(len(flash.memory))] ^= 1 << generator.randrange(8)
        reader, seen = generator.choice(readers)
        for _ in range(generator.randrange(3)):
            _read_one(ring, reader, seen)
    ring.sync()
    for reader, seen in readers:
        flash.allow(64)
        while _read_one(ring, reader, seen):
            pass
        assert rots or seen[0] == ring.next_number - 1
    goes_on(ring, generator)


def _read_one(ring, reader, seen):
    length = reader.next(BUFFER)
    if length < 0:
        return False
    assert seen[0] < reader.number <= ring.synced
    assert BUFFER[:length] == payload(reader.number)
    seen[0] = reader.number
    return True


def check_random_bytes(seed):
    """Nothing but noise is no ring, and becomes one."""
    generator = random.Random(seed)
    flash = BoundedFlash(bytearray(generator.randbytes(generator.randrange(3, 9) * SECTOR_BYTES)))
    ring = opened(flash)
    assert (ring.newest, ring.next_number, drained(ring)) == (-1, 1, [])
    goes_on(ring, generator)


CHECKS = [
    check_random_bytes,
    check_rotten,
    check_one_page,
    check_foreign,
    check_lying_headers,
    check_resized,
    check_readers,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_whatever_flash_holds(check):
    for seed in range(CASES):
        try:
            check(seed)
        except Exception as error:
            raise AssertionError(f"{check.__name__}({seed})") from error
