"""The ring in a file of a Linux machine under power cuts: what the kernel has not flushed is written in any order.

Goal: what `sync` promised is there, byte for byte and in order, whatever of the rest has reached the disk. Method: the
file's system calls act on a disk of 512-byte blocks with a cache (ext4 in ordered mode promises no more for blocks that
are overwritten in place). The power is cut before, inside and after every fdatasync of a workload of several laps; each
dirty block then has one of the contents that it had since the flush before.
"""

import os
import random
from types import SimpleNamespace

import pytest
from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.ports import file_region
from fieldpost.ports.file_region import FileRegion
from fieldpost.ring.log import Ring

SECTORS = 4
BLOCK_BYTES = 512
STEPS = 420
PICTURES = {1: 8, 10: 24}  # by group

BUFFER = memoryview(bytearray(RECORD_BYTES_MAX))
FD = 99


class Disk:
    """Blocks on a medium, and a cache in front of it. versions: of each dirty block, oldest first."""

    def __init__(self, medium=None):
        self.medium = medium or bytearray(b"\xff" * SECTORS * 4096)
        self.cache = bytearray(self.medium)
        self.versions = {}
        self.on_sync = lambda: None
        self.writes = self.syncs = 0

    def pread(self, _file, length, offset):
        return bytes(self.cache[offset : offset + length])

    def pwrite(self, _file, data, offset):
        assert offset >= 0 and offset + len(data) <= len(self.cache), "outside the file"
        self.writes += 1
        for block in range(offset // BLOCK_BYTES, (offset + len(data) - 1) // BLOCK_BYTES + 1):
            self.versions.setdefault(block, [self._block(self.medium, block)])
        self.cache[offset : offset + len(data)] = data
        for block in range(offset // BLOCK_BYTES, (offset + len(data) - 1) // BLOCK_BYTES + 1):
            self.versions[block].append(self._block(self.cache, block))
        return len(data)

    def fdatasync(self, _file):
        self.on_sync()
        self.syncs += 1
        self.versions.clear()
        self.medium[:] = self.cache

    def after_cut(self, generator):
        """Return the medium as a cut now may leave it."""
        image = bytearray(self.medium)
        way = generator.randrange(4)
        for block, versions in self.versions.items():
            if way == 0:
                chosen = versions[-1]
            elif way == 1:
                chosen = generator.choice((versions[0], versions[-1]))
            else:
                chosen = generator.choice(versions)
            image[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES] = chosen
        return image

    def as_os(self):
        """Return what `file_region` needs of `os`, over this disk."""
        return SimpleNamespace(
            path=SimpleNamespace(exists=lambda path: True, dirname=os.path.dirname),
            open=lambda path, flags: FD,
            fstat=lambda file: SimpleNamespace(st_size=len(self.cache)),
            fsync=lambda file: None,
            posix_fadvise=lambda *span_and_advice: None,
            close=lambda file: None,
            strerror=os.strerror,
            pread=self.pread,
            pwrite=self.pwrite,
            fdatasync=self.fdatasync,
            O_RDWR=os.O_RDWR,
            POSIX_FADV_DONTNEED=os.POSIX_FADV_DONTNEED,
        )

    @staticmethod
    def _block(memory, block):
        return bytes(memory[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES])


def payload(number):
    return bytes((number * 31 + i) & 0xFF for i in range(90 + number % 61))


def records(ring):
    reader = ring.reader()
    found = {}
    while (length := reader.next(BUFFER)) >= 0:
        assert not found or max(found) < reader.number
        found[reader.number] = bytes(BUFFER[:length])
    return found


def ring_on(disk, monkeypatch):
    monkeypatch.setattr(file_region, "os", disk.as_os())
    monkeypatch.setattr(file_region, "fcntl", SimpleNamespace(flock=lambda *lock: None, LOCK_EX=2, LOCK_NB=4))
    return Ring(FileRegion("queue", SECTORS))


class Oracle:
    """What was promised: numbers that a sync covered, and cursors that may be on the medium."""

    def __init__(self, group):
        self.group = group
        self.synced = self.appended = 0
        self.cursors = {0}
        self.cuts = 0

    def check(self, image, oldest, monkeypatch):
        """oldest: what stands before it is being overwritten, and may be there in part."""
        self.cuts += 1
        disk = Disk(image)
        ring = ring_on(disk, monkeypatch)
        found = records(ring)
        assert all(data == payload(number) for number, data in found.items())
        assert ring.cursor in self.cursors, (ring.cursor, self.cursors)
        assert [n for n in found if oldest <= n <= self.synced] == list(range(oldest, self.synced + 1))
        assert not found or max(found) <= self.appended
        assert ring.next_number > self.synced and (not found or ring.next_number > max(found))
        assert disk.writes == 0, "recovery wrote"


def work(ring, oracle, steps, first_step=0):
    for step in range(first_step, first_step + steps):
        oracle.appended = ring.next_number
        is_last = step % oracle.group == oracle.group - 1
        ring.append(1, payload(ring.next_number), sync=is_last)
        if is_last:
            oracle.synced = ring.next_number - 1
            oracle.cursors = {ring.cursor}
        is_lagging = 120 <= step < 240
        if step % 4 == 3 and not is_lagging and ring.synced - 2 > ring.cursor:
            oracle.cursors.add(ring.synced - 2)
            ring.forget(ring.synced - 2)
        if step % 7 == 6:
            ring.maintain()


@pytest.mark.parametrize("group", [1, 10])
def test_no_cut_costs_what_was_synced(group, monkeypatch, report):
    oracle = Oracle(group)
    disk = Disk()
    ring = ring_on(disk, monkeypatch)
    of_the_ring = file_region.os
    generator = random.Random(group)

    def cut():
        oldest = ring.oldest
        for _ in range(PICTURES[group]):
            oracle.check(disk.after_cut(generator), oldest, monkeypatch)
        monkeypatch.setattr(file_region, "os", of_the_ring)

    disk.on_sync = cut
    work(ring, oracle, STEPS)
    assert ring.newest > 3 * SECTORS and ring.oldest > 1
    report(f"ring in a file, groups of {group}: {oracle.cuts} cuts tried over {ring.newest / SECTORS:.1f} laps")
    assert oracle.cuts == disk.syncs * PICTURES[group] > 1000 // group


@pytest.mark.parametrize("group", [1, 10])
def test_life_goes_on_after_cut_upon_cut(group, monkeypatch):
    """Each life begins on what the cut before has left; a number whose record was synced is never given again."""
    generator = random.Random(100 + group)
    disk = Disk()
    synced = {}
    oldest = 1
    for life in range(150):
        ring = ring_on(disk, monkeypatch)
        found = records(ring)
        kept = {number: data for number, data in synced.items() if number >= max(oldest, ring.oldest)}
        assert kept.items() <= found.items(), life
        assert ring.next_number > max(synced, default=0)
        disk.on_sync = lambda: None
        waiting = {}
        for step in range(generator.randrange(1, 40)):
            text = payload(generator.randrange(1000))
            number = ring.append(1, text, sync=False)
            assert number not in synced
            waiting[number] = text
            if step % group == group - 1:
                ring.sync()
                synced.update(waiting)
                waiting = {}
            if generator.random() < 0.2 and ring.synced > ring.cursor:
                ring.forget(generator.randrange(ring.cursor, ring.synced + 1))
            if generator.random() < 0.2:
                ring.maintain()
        oldest = ring.first_kept
        if generator.random() < 0.7:
            ring.region._write()
        disk = Disk(disk.after_cut(generator))
    assert ring.newest > 3 * SECTORS


def test_a_neighbourhood_that_a_card_damages_costs_what_stood_there_and_is_counted(monkeypatch):
    """Cheap cards move data by themselves: 4 KiB around a write that was cut may be anything."""
    for seed in range(40):
        generator = random.Random(seed)
        disk = Disk()
        ring = ring_on(disk, monkeypatch)
        for _ in range(generator.randrange(80, 200)):
            ring.append(1, payload(ring.next_number))
        before = records(ring)
        start = generator.randrange(len(disk.medium) - 4096) // BLOCK_BYTES * BLOCK_BYTES
        image = bytearray(disk.medium)
        image[start : start + 4096] = generator.choice((bytes(4096), generator.randbytes(4096)))
        after = ring_on(Disk(image), monkeypatch)
        found = records(after)
        assert found.items() <= before.items()
        # 16 pages of two records each, in two sectors at the most; the rest of both is found without their headers.
        assert len(before) - len(found) <= 17 * 2, seed
        assert after.damaged or found == before, seed
        number = after.append(1, b"goes on")
        assert number > max(found, default=0) and records(after)[number] == b"goes on"
