"""Blocks that MicroPython's own littlefs lends, as on a Pico W: never touched by it again, lent anew after a format.

Goal: a ring beside a file system that knows nothing of it. Method: littlefs with the port's parameters on a part of
ours, files written over and over beside the ring, a cut in every operation of the lending, and a format. MicroPython
only: CPython has no littlefs of its own.
"""

import os

from fieldpost.errors import ConfigError
from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.ports import lent_blocks
from fieldpost.ports.block_region import BlockRegion
from fieldpost.ring.log import Ring
from support import LfsDevice, checked_numbers, raises

from host_tools.emulator.nor_flash import NorFlash

try:
    import vfs
except ImportError:
    vfs = None

BLOCKS = 40
LENT = 8
BUFFER = memoryview(bytearray(RECORD_BYTES_MAX))
CHIP = memoryview(bytearray(BLOCKS * 4096))


class FileSystem:
    """littlefs with the parameters of the rp2 port, mounted at /lfs."""

    def __init__(self):
        self.flash = LfsDevice(NorFlash(CHIP, strict=False))
        self.format()

    def format(self):
        vfs.VfsLfs2.mkfs(self.flash, progsize=256)

    def __enter__(self):
        vfs.mount(vfs.VfsLfs2(self.flash, progsize=256), "/lfs")
        return self

    def __exit__(self, *problem):
        vfs.umount("/lfs")

    def lend(self, count=LENT):
        return lent_blocks.lend(self.flash, count, "/lfs/ring")

    def ring(self):
        return Ring(BlockRegion(self.flash, self.lend(), whole_pages=True))


def append(ring):
    return ring.append(1, b"%20d" % ring.next_number)


def rewrite_files(turn):
    """What an agent's settings, logs and updates do to a file system."""
    for name in range(6):
        with open("/lfs/file%d" % name, "wb") as file:
            file.write(bytes([turn & 0xFF]) * (300 + 1100 * name))
    os.rename("/lfs/file5", "/lfs/renamed")
    os.remove("/lfs/file4")


def test_the_file_system_never_touches_what_it_has_lent():
    if not vfs:
        return
    system = FileSystem()
    with system:
        lent = list(system.lend())
        assert len(set(lent)) == LENT
    ring_id = None
    part = system.flash.flash
    for mount in range(6):
        with system:
            ring = system.ring()
            assert ring_id is None or ring.ring_id == ring_id
            before = ring.next_number
            for turn in range(12):
                for _ in range(20):
                    append(ring)
                erases = [part.sector_erases[block] for block in lent]
                rewrite_files(mount * 12 + turn)
                assert [part.sector_erases[block] for block in lent] == erases
            ring_id = ring.ring_id
            assert ring.next_number == before + 240 and list(system.lend()) == lent
    with system:
        ring = system.ring()
        assert ring.newest > LENT and ring.damaged == 0
        assert checked_numbers(ring) == list(range(ring.oldest, 6 * 240 + 1))
        assert all(os.stat("/lfs/ring/%04x" % index)[6] == 4096 for index in range(LENT))


def test_a_format_is_noticed_and_no_number_comes_twice_under_one_ring_id():
    """Goal: (ring id, number) names a record for ever. What the old ring still held is gone with the format."""
    if not vfs:
        return
    given = set()
    system = FileSystem()
    for _ in range(3):
        with system:
            ring = system.ring()
            assert ring.newest == -1 and ring.next_number == 1
            for _ in range(50):
                name = (ring.ring_id, append(ring))
                assert name not in given
                given.add(name)
            assert (system.ring().ring_id, system.ring().next_number) == (ring.ring_id, 51)
        system.format()
    assert len(given) == 150


def test_a_map_that_is_gone_or_broken_makes_a_new_ring_and_no_block_is_used_twice():
    if not vfs:
        return
    system = FileSystem()
    with system:
        for spoil in ("remove", "break", "shorten"):
            ring = system.ring()
            append(ring)
            first = ring.ring_id
            if spoil == "remove":
                os.remove("/lfs/ring/map")
            elif spoil == "break":
                with open("/lfs/ring/map", "r+b") as file:
                    file.seek(5)
                    file.write(b"\x77")
            else:
                with open("/lfs/ring/0003", "wb") as file:
                    file.write(b"written by somebody")
            again = system.ring()
            append(again)
            assert again.ring_id != first, spoil
            assert len(set(system.lend())) == LENT
        rewrite_files(1)
        assert checked_numbers(system.ring()) == [1]


def test_a_cut_at_any_operation_of_the_lending_leaves_a_file_system_that_can_lend():
    if not vfs:
        return
    cuts = operation = 0
    while True:
        system = FileSystem()
        part = system.flash.flash
        with system:
            part.cut_at(operation)
            try:
                lent = system.lend()
            except (ConfigError, OSError):
                lent = None
        if not part.was_cut:
            break
        part.power_up()
        cuts += 1
        with system:
            ring = system.ring()
            blocks = list(system.lend())
            assert lent is None or list(lent) == blocks
            assert len(set(blocks)) == LENT
            append(ring)
            erases = [part.sector_erases[block] for block in blocks]
            rewrite_files(cuts)
            assert [part.sector_erases[block] for block in blocks] == erases
            assert checked_numbers(system.ring()) == [1], operation
        operation += 1 + operation // 10
    assert cuts > 20, cuts


def test_a_file_system_without_room_says_so_and_a_smaller_ring_is_kept():
    if not vfs:
        return
    system = FileSystem()
    with system:
        with raises(ConfigError) as refusal:
            system.lend(BLOCKS)
        assert "cannot lend" in refusal.message
        lent = list(system.lend(5))
        assert list(system.lend(BLOCKS)) == lent
        assert list(system.lend(LENT))[:5] == lent
