"""A ring in a file of a Linux machine: sizes that change, and what reaches the disk when."""

import os

import pytest
from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.ports.file_region import FileRegion
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
    assert region.sector_count == 4
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


def test_a_sync_that_fails_is_told_and_its_number_is_not_used_again(tmp_path, monkeypatch):
    ring = filled(tmp_path / "ring", 4, 1)

    def broken(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(OSError):
        ring.append(1, b"lost")
    monkeypatch.undo()
    assert ring.append(1, b"after") == 3
