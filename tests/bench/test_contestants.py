"""Every contestant of `fieldpost bench ring` does the work that its figures stand for."""

import shutil

import pytest

from host_tools.bench import RecordsDiffer, on_disk, on_flash
from host_tools.bench.littlefs_on_flash import PROG_SIZES, LittlefsOnFlash
from host_tools.bench.persist_queue_on_disk import PersistQueueOnDisk
from host_tools.bench.ring_on_disk import RingOnDisk
from host_tools.bench.ring_on_flash import RingOnFlash
from host_tools.bench.sqlite_on_disk import SqliteOnDisk
from host_tools.bench.workload import records

SECTORS = 32
FLASH = {
    "ring": lambda: RingOnFlash("ring", SECTORS),
    "ring with ECC": lambda: RingOnFlash("ring", SECTORS, unit_bytes=16),
    "ring in whole pages": lambda: RingOnFlash("ring", SECTORS, whole_pages=True),
    "busy ring": lambda: RingOnFlash("ring", SECTORS, is_busy=True),
    "littlefs, one file": lambda: LittlefsOnFlash("lfs", SECTORS, PROG_SIZES["ESP32"], SECTORS * 2048),
    "littlefs, segments": lambda: LittlefsOnFlash("lfs", SECTORS, PROG_SIZES["Pico"], 4096),
    "littlefs, inline": lambda: LittlefsOnFlash("lfs", SECTORS, PROG_SIZES["ESP32"], 128),
}
DISK = [RingOnDisk, SqliteOnDisk, PersistQueueOnDisk]


def quiet(what, done):
    assert 0 <= done <= 1 or what


@pytest.mark.parametrize("make", FLASH.values(), ids=FLASH)
def test_what_append_took_is_on_flash_when_the_power_goes(make):
    contestant = make()
    appended = list(records(73))
    for count, payload in enumerate(appended, 1):
        contestant.append(payload)
        if count % 9 == 0:
            contestant.reopen()
            assert contestant.read(count + 1) == appended[:count]
            contestant.reopen()


@pytest.mark.parametrize("make", FLASH.values(), ids=FLASH)
def test_what_was_acknowledged_does_not_come_again_and_the_rest_does(make):
    contestant = make()
    appended = list(records(200))
    for payload in appended:
        contestant.append(payload)
    assert contestant.read(128) == appended[:128]
    contestant.acknowledge()
    contestant.idle()
    assert contestant.read(40) == appended[128:168]
    contestant.reopen()
    found = contestant.read(200)
    # littlefs lets go of whole files only: what is left may begin before what was not acknowledged.
    assert found == appended[200 - len(found) :] and 72 <= len(found) <= 200


@pytest.mark.parametrize("make", FLASH.values(), ids=FLASH)
def test_figures_are_those_of_the_part(make):
    contestant = make()
    found = on_flash.measure(contestant, 500, quiet)
    flash = contestant.flash
    assert found.programmed_ratio == found.bytes_programmed / 64 > 1
    assert flash.bytes_programmed >= found.bytes_programmed * 500 and flash.erases >= found.erases * 500
    assert found.modelled_ms == pytest.approx(found.programs * 0.7 + found.erases * 45)
    assert found.modelled_by_bytes_ms <= found.modelled_ms
    assert found.append_p50_ms <= found.append_p99_ms <= found.append_worst_ms
    assert flash.violations == 0


@pytest.mark.parametrize("wrong", ["lost", "changed", "twice"])
def test_a_contestant_that_gives_back_something_else_has_no_figures(wrong):
    class Careless(RingOnFlash):
        def read(self, count):
            found = super().read(count)
            if wrong == "lost":
                return found[1:]
            return [bytes(64), *found[1:]] if wrong == "changed" else [found[0], *found]

    with pytest.raises(RecordsDiffer):
        on_flash.measure(Careless("careless", SECTORS), 100, quiet)


@pytest.mark.parametrize("make", DISK)
def test_what_returned_is_on_disk_when_the_process_is_gone(make, tmp_path):
    (tmp_path / "run").mkdir()
    running = make(tmp_path / "run")
    payloads = list(records(57))
    for payload in payloads[:7]:
        running.append(payload)
    for start in range(7, 57, 10):
        running.append_group(payloads[start : start + 10])
    taken = [running.get_and_ack() for _ in range(3)] + running.get_and_ack_group(10)
    assert taken == payloads[:13]
    # Copied while it is open, nothing closed: this is what a killed process leaves.
    shutil.copytree(tmp_path / "run", tmp_path / "left", ignore=shutil.ignore_patterns("*-shm"))
    running.close()
    after = make(tmp_path / "left")
    assert [after.get_and_ack() for _ in range(4)] + after.get_and_ack_group(40) == payloads[13:]
    after.close()


@pytest.mark.parametrize("make", DISK)
def test_rounds_on_disk_leave_figures_of_every_kind_of_work(make, tmp_path):
    (found,) = on_disk.measure([make], tmp_path, 150, 2, quiet)
    for kind in (found.appends, found.grouped_appends, found.get_acks, found.grouped_get_acks):
        assert len(kind) == 2 and min(kind) > 0


def test_a_contestant_on_disk_that_gives_back_something_else_has_no_figures(tmp_path):
    class Careless(RingOnDisk):
        def get_and_ack(self):
            super().get_and_ack()
            return bytes(64)

    with pytest.raises(RecordsDiffer):
        on_disk.measure([Careless], tmp_path, 100, 1, quiet)


def test_ratios_are_taken_turn_by_turn():
    ours, theirs = [2.0, 9.0, 8.0, 0.1, 600.0], [1.0, 3.0, 4.0, 1.0, 6.0]
    assert on_disk.ratio(ours, theirs) == on_disk.Spread(2.0, 2.0, 3.0)
