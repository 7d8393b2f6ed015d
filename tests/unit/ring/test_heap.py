"""What the ring takes from the heap for each record on MicroPython: little, and nothing that stays.

Goal: no collection in the middle of a burst, no heap that breaks up over years. Method: a device that takes nothing
itself but its slices, the collector off, and what is allocated counted over many calls. CPython does not tell.
"""

import gc

from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.ring.log import Ring

SECTORS = 8
TURNS = 200
# Slices of buffers, and on boards checksums above 30 bits: with words of 8 bytes, and of 4.
APPEND_BYTES_MAX = 192
GET_BYTES_MAX = 288


class Ram:
    """A region in RAM."""

    sector_bytes, page_bytes, unit_bytes, sector_count = 4096, 256, 4, SECTORS
    is_cached = False
    group_records = 1

    def __init__(self):
        self._memory = memoryview(bytearray(SECTORS * 4096))
        self._blank = bytes([0xFF]) * 4096

    def read(self, offset, buffer):
        buffer[:] = self._memory[offset : offset + len(buffer)]

    def program(self, offset, data):
        self._memory[offset : offset + len(data)] = data

    def erase(self, sector):
        self._memory[sector * 4096 : (sector + 1) * 4096] = self._blank

    def sync(self):
        pass


def taken(work):
    """Return the bytes that one of TURNS calls takes, or None where nobody can tell."""
    if not hasattr(gc, "mem_alloc"):
        work()
        return None
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    work()
    after = gc.mem_alloc()
    gc.enable()
    return (after - before) // TURNS


def test_a_record_takes_little_from_the_heap_and_leaves_nothing_there():
    ring = Ring(Ram())
    payload = bytes(17)
    buffer = memoryview(bytearray(RECORD_BYTES_MAX))
    reader = ring.reader()

    def append():
        for _ in range(TURNS):
            ring.append(1, payload)

    def get():
        for _ in range(TURNS):
            assert reader.next(buffer) == 17

    def acknowledge():
        ring.forget(reader.number)
        ring.maintain()

    append()
    get()
    for work, limit in ((append, APPEND_BYTES_MAX), (get, GET_BYTES_MAX)):
        bytes_each = taken(work)
        assert bytes_each is None or bytes_each <= limit, bytes_each
    acknowledge()
    if not hasattr(gc, "mem_alloc"):
        return
    gc.collect()
    before = gc.mem_alloc()
    for _ in range(20):
        append()
        get()
        acknowledge()
    gc.collect()
    assert gc.mem_alloc() - before <= 256, gc.mem_alloc() - before
