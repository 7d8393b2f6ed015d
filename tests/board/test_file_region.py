"""A ring in a file of a Linux machine: sizes that change, what reaches the disk when, and who may have it."""

import errno
import os

import pytest
from fieldpost.errors import RegionUnusable
from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.ports.file_region import FileRegion
from fieldpost.ring.layout import divide
from fieldpost.ring.log import Ring

BUFFER = memoryview(bytearray(RECORD_BYTES_MAX))


def filled(path, sectors, records):
    region = FileRegion(str(path), sectors)
    ring = Ring(region)
    for number in range(1, records + 1):
        ring.append(1, b"%20d" % number)
    return ring


def numbers(ring):
    reader = ring.reader()
    found = []
    while reader.next(BUFFER) >= 0:
        found.append(int(bytes(BUFFER[:20])))
    return found


def test_the_file_is_whole_and_private_from_the_start(tmp_path):
    FileRegion(str(tmp_path / "ring"), 16).close()
    status = (tmp_path / "ring").stat()
    assert (status.st_size, status.st_mode & 0o777) == (16 * 4096, 0o600)
    assert status.st_blocks * 512 >= status.st_size, "written through, not only allocated"


@pytest.mark.parametrize("sectors", [4, 16, 64])
def test_a_file_of_another_size_keeps_its_readings(tmp_path, sectors):
    filled(tmp_path / "ring", 16, 900).region.close()
    region = FileRegion(str(tmp_path / "ring"), sectors)
    ring = Ring(region)
    assert region.sector_count == max(sectors, 16)
    assert numbers(ring) == list(range(1, 901)) and ring.next_number == 901
    ring.forget(900)
    ring.maintain()
    for _ in range(3000):
        ring.append(1, b"%20d" % ring.next_number, sync=False)
    ring.sync()
    assert ring.sectors == max(sectors, 16)
    assert numbers(Ring(region)) == list(range(3901 - ring.pending, 3901))


def test_a_file_that_was_cut_while_it_grew_is_taken(tmp_path):
    filled(tmp_path / "ring", 4, 100).region.close()
    with open(tmp_path / "ring", "ab") as file:
        file.write(b"\xff" * 5000)
    region = FileRegion(str(tmp_path / "ring"), 8)
    assert region.sector_count == 8 and (tmp_path / "ring").stat().st_size == 8 * 4096
    assert numbers(Ring(region)) == list(range(1, 101))


def test_a_disk_without_room_leaves_the_ring_as_it_is(tmp_path, monkeypatch):
    filled(tmp_path / "ring", 4, 100).region.close()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    region = FileRegion(str(tmp_path / "ring"), 64)
    monkeypatch.undo()
    assert (region.sector_count, region.found_sectors) == (4, 4)
    assert numbers(Ring(region)) == list(range(1, 101))


def test_append_syncs_and_a_group_syncs_once(tmp_path, monkeypatch):
    ring = filled(tmp_path / "ring", 4, 1)
    syncs = []
    monkeypatch.setattr(os, "fdatasync", lambda file: syncs.append(file))
    ring.append(1, b"a")
    assert len(syncs) == 1
    for _ in range(10):
        ring.append(1, b"a", sync=False)
    assert len(syncs) == 1 and ring.synced == 2
    ring.sync()
    assert len(syncs) == 2 and ring.synced == 12


@pytest.mark.parametrize("call", ["fdatasync", "pwrite"])
def test_after_a_failure_nothing_is_promised_until_the_file_is_opened_anew(tmp_path, monkeypatch, call):
    """The kernel may have dropped what it could not write, and says yes to the next fdatasync."""
    ring = filled(tmp_path / "ring", 4, 1)

    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, call, broken)
    with pytest.raises(OSError):
        ring.append(1, b"lost")
    monkeypatch.undo()
    for _ in range(2):
        with pytest.raises(OSError) as again:
            ring.append(1, b"after")
        assert again.value.errno == errno.EIO
    ring.region.close()
    anew = Ring(FileRegion(str(tmp_path / "ring"), 4))
    # A number that may stand on the disk is given to no other record.
    assert anew.append(1, b"after") in ((3,) if call == "fdatasync" else (2,))


def test_opening_reads_what_the_disk_has(tmp_path, monkeypatch):
    """Not what the page cache has: after a failed write that looks clean and is not on the disk."""
    filled(tmp_path / "ring", 4, 1).region.close()
    told = []
    monkeypatch.setattr(os, "fsync", lambda file: told.append("fsync"))
    monkeypatch.setattr(os, "posix_fadvise", lambda *arguments: told.append(arguments[1:]))
    FileRegion(str(tmp_path / "ring"), 4).close()
    assert told == ["fsync", (0, 0, os.POSIX_FADV_DONTNEED)]


def test_a_second_process_is_refused_and_changes_nothing(tmp_path):
    ring = filled(tmp_path / "ring", 4, 10)
    before = (tmp_path / "ring").read_bytes()
    with pytest.raises(OSError) as refused:
        FileRegion(str(tmp_path / "ring"), 64)
    assert refused.value.errno == errno.EWOULDBLOCK and str(tmp_path / "ring") in str(refused.value)
    assert (tmp_path / "ring").read_bytes() == before
    ring.region.close()
    assert numbers(Ring(FileRegion(str(tmp_path / "ring"), 4))) == list(range(1, 11))


def test_a_disk_that_fills_while_the_file_is_made_gets_its_room_back(tmp_path, monkeypatch):
    real, left = os.pwrite, [10]

    def small(file, data, offset):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data[:1000], offset)  # and it takes a part only

    monkeypatch.setattr(os, "pwrite", small)
    with pytest.raises(OSError, match="No space"):
        FileRegion(str(tmp_path / "ring"), 16)
    assert list(tmp_path.iterdir()) == []
    left[0] = 1000
    FileRegion(str(tmp_path / "ring"), 16).close()
    assert (tmp_path / "ring").read_bytes() == b"\xff" * 16 * 4096


def test_a_file_that_was_cut_in_use_is_told(tmp_path):
    ring = filled(tmp_path / "ring", 8, 900)
    os.truncate(tmp_path / "ring", 4096)
    with pytest.raises(OSError, match="shorter"):
        numbers(ring)


@pytest.mark.parametrize(("journal", "urgent"), [(8, 8), (4, 16), (3, 8), (4, 3), (16, 3)])
def test_another_division_is_refused_not_overwritten(tmp_path, journal, urgent):
    region = FileRegion(str(tmp_path / "ring"), 64)
    for part in divide(region, 4, 8):
        ring = Ring(part)
        for number in range(2000):
            ring.append(1, b"%20d" % number, sync=False)
        ring.sync()
    before = (tmp_path / "ring").read_bytes()
    with pytest.raises(RegionUnusable, match="give the region back its place and size"):
        for part in divide(region, journal, urgent):
            Ring(part)
    assert (tmp_path / "ring").read_bytes() == before
