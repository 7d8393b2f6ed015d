"""A ring in files: group commit, and littlefs under it cut at every operation of its flash."""

import os

from fieldpost.errors import ConfigError
from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.ports.files_region import FilesRegion
from fieldpost.ring.log import Ring
from support import LfsDevice, checked_numbers, raises

from host_tools.emulator.nor_flash import NorFlash

try:
    import vfs  # MicroPython: its own littlefs, as on boards
except ImportError:
    vfs = None

STORAGE_BYTES = 24 * 4096  # the whole of a board's littlefs, on a part that can be cut
BUFFER = memoryview(bytearray(RECORD_BYTES_MAX))


class Folder:
    """A folder for one test: on littlefs where there is one, else in the file system of the machine."""

    def __init__(self, storage=None):
        self.storage = storage
        self.path = "/lfs/queue" if vfs else "/tmp/fieldpost-files-%d" % int.from_bytes(os.urandom(6), "little")

    def __enter__(self):
        if vfs:
            self.storage = self.storage or LfsDevice(NorFlash(STORAGE_BYTES, strict=False))
            vfs.VfsLfs2.mkfs(self.storage, progsize=256, readsize=32)
            self.mount()
        return self

    def mount(self):
        if vfs:
            vfs.mount(vfs.VfsLfs2(self.storage, progsize=256, readsize=32), "/lfs")

    def __exit__(self, *problem):
        if vfs:
            vfs.umount("/lfs")
            return
        for name in os.listdir(self.path):
            os.remove(self.path + "/" + name)
        os.rmdir(self.path)


def append(ring, sync):
    return ring.append(1, b"%20d" % ring.next_number, sync=sync)


def test_a_ring_in_files_goes_round_and_comes_back():
    with Folder() as folder:
        ring = Ring(FilesRegion(folder.path, 4, 16))
        for number in range(1, 901):
            assert append(ring, number % 16 == 0) == number
            if number % 50 == 0:
                ring.sync()
                ring.forget(number - 20)
        ring.sync()
        again = Ring(FilesRegion(folder.path, 4, 16))
        assert checked_numbers(again) == list(range(881, 901))
        assert (again.ring_id, again.next_number, again.damaged) == (ring.ring_id, 901, 0)


def test_what_is_not_durable_is_not_read():
    with Folder() as folder:
        ring = Ring(FilesRegion(folder.path, 4, 16))
        reader = ring.reader()
        for _ in range(5):
            append(ring, False)
        assert reader.next(BUFFER) == -1 and ring.synced == 0
        assert Ring(FilesRegion(folder.path, 4, 16)).next_number == 1, "it was in RAM alone"
        ring.sync()
        assert [reader.next(BUFFER) for _ in range(6)] == [20] * 5 + [-1]
        append(ring, False)
        assert reader.next(BUFFER) == -1
        ring.sync()
        assert reader.next(BUFFER) == 20 and reader.number == 6


def test_a_file_that_cannot_be_read_is_damage_and_not_blank():
    with Folder() as folder:
        region = FilesRegion(folder.path, 4, 16)
        os.mkdir(folder.path + "/0001")
        page = memoryview(bytearray(256))
        region.read(4096, page)
        assert page == bytes(256)
        region.read(8192, page)
        assert page == b"\xff" * 256
        os.rmdir(folder.path + "/0001")


def test_a_file_system_without_room_is_refused():
    with Folder() as folder:
        with raises(ConfigError) as refusal:
            FilesRegion(folder.path, 1 << 40, 16)
        assert "set it lower" in refusal.message


def test_a_group_costs_one_commit():
    if not vfs:
        return
    costs = []
    for group in (1, 16):
        with Folder() as folder:
            ring = Ring(FilesRegion(folder.path, 4, group))
            erases = folder.storage.flash.erases
            for number in range(320):
                append(ring, number % group == group - 1)
            costs.append(folder.storage.flash.erases - erases)
    assert costs[1] * 8 < costs[0], costs


def test_no_cut_costs_what_was_synced():
    """Goal: after a cut at any operation of the flash under littlefs, all that `sync` promised is there.

    Method: MicroPython's own littlefs on a part of ours; a group of 4 readings at a time, two laps of the ring.
    """
    if not vfs:
        return
    cuts = operation = 0
    while True:
        storage = LfsDevice(NorFlash(STORAGE_BYTES, strict=False))
        with Folder(storage) as folder:
            ring = Ring(FilesRegion(folder.path, 3, 4))
            storage.flash.cut_at(operation)
            synced = []
            try:
                while ring.newest < 7:
                    append(ring, False)
                    if ring.next_number % 4 == 1:
                        ring.sync()
                        synced = [ring.ring_id, ring.next_number - 1]
                        if ring.next_number > 60:
                            ring.forget(ring.next_number - 40)
            except OSError:
                pass
            if not storage.flash.was_cut:
                break
            cuts += 1
            vfs.umount("/lfs")
            storage.flash.power_up()
            folder.storage = LfsDevice(storage.flash)
            folder.mount()
            after = Ring(FilesRegion(folder.path, 3, 4))
            found = checked_numbers(after)
            if synced:
                assert after.ring_id == synced[0], operation
                assert found == list(range(after.oldest, after.next_number)), operation
                assert after.next_number > synced[1] and len(found) >= min(synced[1], 20), (operation, len(found))
            append(after, True)
            assert checked_numbers(after)[-1] == after.next_number - 1
        operation += 1 + operation // 12
    assert cuts > 20, cuts
