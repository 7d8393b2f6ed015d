"""kill -9 and full disks: whatever was stored is delivered, whatever was not was never promised.

Goal: nothing lost, whatever ends the process or the disk. Method: the service is killed at random moments while
readings, commands and deliveries go on; its ring lies on a file system of its own that is filled to the last block
and emptied again. The judge is the audit of the hub's store against the file. CI runs a short slice; the whole:

    FIELDPOST_PI_KILLS=100 FIELDPOST_PI_FULL_DISKS=20 tests/run.sh pi/test_durability.py
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import shutil
import struct
import subprocess

import pytest

from tests.pi.until import until

KILLS = int(os.environ.get("FIELDPOST_PI_KILLS", "8"))
FULL_DISKS = int(os.environ.get("FIELDPOST_PI_FULL_DISKS", "2"))
_IMAGE_BYTES = 8 << 20


def readings(pi):
    return [r for r in pi.records() if "temperature" in r]


async def killed_again_and_again(pi, kills, seed):
    """Kill the service at random moments of its life, its start included; then let everything arrive."""
    rng = random.Random(seed)
    pi.settings["sample_interval_ms"] = 50
    for _ in range(kills):
        pi.start()
        # From a process that has not even opened its ring to one that is in the middle of deliveries.
        await asyncio.sleep(rng.uniform(0.05, 1.0) if rng.random() < 0.5 else rng.uniform(0.25, 0.6))
        await asyncio.to_thread(pi.kill)
    pi.start()
    before = len(readings(pi))
    await until(lambda: len(readings(pi)) > before + 20, pi.said)
    await asyncio.to_thread(pi.stop)
    assert pi.nothing_is_missing()
    finding = pi.finding()
    assert finding.total("lost_reported") == 0 and finding.total("out_of_order") == 0
    taken = len({(r["boot"], r["up"]) for r in readings(pi)})
    # A kill costs the reading that was being taken at most.
    assert taken <= pi.bme280.conversions <= taken + kills + finding.total("waiting")


async def test_kills_lose_nothing(pi):
    await killed_again_and_again(pi, KILLS, seed=KILLS)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MiB of its own, made of a file; or a reason why there can be none."""
    image, place = tmp_path / "disk.img", tmp_path / "disk"
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(_IMAGE_BYTES)
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("a file system of its own needs root and mkfs.ext4")
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-F", image], check=True)
    if subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, place], capture_output=True).returncode:
        pytest.skip("a file system of its own needs a loop device")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(place):
    """Take every block of the disk. Return the file that holds them."""
    ballast = place / "ballast"
    with open(ballast, "ab", buffering=0) as file:
        for size in (65_536, 4096, 512):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
        os.fsync(file.fileno())
    with pytest.raises(OSError), open(place / "one-more", "wb", buffering=0) as file:
        file.write(bytes(65_536))
        os.fsync(file.fileno())
    return ballast


async def full_again_and_again(pi, place, episodes):
    """Fill the disk while the service runs; in every other episode it is also killed and started on the full disk."""
    pi.ring = place / "queue"
    pi.settings["ring"]["path"] = str(pi.ring)
    pi.start()
    await until(lambda: readings(pi), pi.said)
    for episode in range(episodes):
        ballast = fill(place)
        await pi.end_hub()  # so that what is taken now has to be kept
        await asyncio.sleep(0.2)
        if episode % 2:
            await asyncio.to_thread(pi.kill)
            pi.start()
            await asyncio.sleep(0.3)
        await pi.begin_hub()
        conversions = pi.bme280.conversions
        await until(lambda conversions=conversions: pi.bme280.conversions > conversions + 2, pi.said)
        ballast.unlink()
        (place / "one-more").unlink(missing_ok=True)
        assert pi.process.poll() is None, pi.said()
    before = len(readings(pi))
    await until(lambda: len(readings(pi)) > before + 20, pi.said)
    await asyncio.to_thread(pi.stop)
    assert pi.nothing_is_missing()
    assert pi.finding().total("lost_reported") == 0
    assert "No space" not in pi.said()


async def test_a_disk_that_is_full_loses_nothing(pi, small_disk):
    await full_again_and_again(pi, small_disk, FULL_DISKS)


async def test_a_disk_that_is_full_from_the_start_is_told_and_waited_for(pi, small_disk):
    """No room for the ring: one line, exit 1, systemd tries again; with room it starts."""
    pi.ring = small_disk / "queue"
    pi.settings["ring"]["path"] = str(pi.ring)
    ballast = fill(small_disk)
    pi.start()
    assert await asyncio.to_thread(pi.process.wait, 60) == 1
    assert "No space left on device" in pi.said() and "make room" in pi.said() and len(pi.said().splitlines()) == 1
    ballast.unlink()
    pi.start()
    await until(lambda: readings(pi), pi.said)


async def test_a_disk_that_goes_read_only_ends_the_service_with_one_line_and_loses_nothing_stored(pi, small_disk):
    """As the kernel does with a card that fails (ext4: errors=remount-ro)."""
    pi.ring = small_disk / "queue"
    pi.settings["ring"]["path"] = str(pi.ring)
    pi.start()
    await until(lambda: len(readings(pi)) >= 10, pi.said)
    device = os.stat(small_disk).st_dev
    name = os.path.basename(os.readlink(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"))
    try:
        with open(f"/sys/fs/ext4/{name}/trigger_fs_error", "w") as file:
            file.write("an error of the card")
    except OSError as error:
        pytest.skip(f"this kernel does not make errors on purpose: {error}")
    assert await asyncio.to_thread(pi.process.wait, 60) == 1
    last = pi.said().splitlines()[-1]
    assert last.startswith("failed: ") and "fsck" in last and "Traceback" not in pi.said()
    # What is on it is still there: after e2fsck it is delivered.
    subprocess.run(["umount", small_disk], check=True)
    subprocess.run(["e2fsck", "-fp", small_disk.with_name("disk.img")], capture_output=True)
    subprocess.run(["mount", "-o", "loop", small_disk.with_name("disk.img"), small_disk], check=True)
    pi.start()
    await until(lambda: any(r["boot"] == 2 for r in readings(pi)), pi.said)
    await asyncio.to_thread(pi.stop)
    assert pi.nothing_is_missing()


# linux/fs/ext4/ext4.h: EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: from now on every access fails, and what
# has not reached the disk never will.
_EXT4_IOC_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = struct.pack("I", 2)


async def test_a_card_that_is_pulled_and_put_back_has_all_that_was_stored(pi, small_disk):
    pi.ring = small_disk / "queue"
    pi.settings["ring"]["path"] = str(pi.ring)
    image = small_disk.with_name("disk.img")
    rng = random.Random(3)
    for episode in range(4):
        pi.start()
        before = pi.bme280.conversions
        await until(lambda before=before: pi.bme280.conversions > before + rng.randrange(1, 30), pi.said)
        if episode % 2:
            await pi.end_hub()
            await asyncio.sleep(rng.uniform(0.1, 0.5))
        folder = os.open(small_disk, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, _EXT4_IOC_SHUTDOWN, _NO_LOG_FLUSH)
        except OSError as error:
            pytest.skip(f"this kernel does not pull disks: {error}")
        finally:
            os.close(folder)
        assert await asyncio.to_thread(pi.process.wait, 60) == 1, pi.said()
        if episode % 2:
            await pi.begin_hub()
        subprocess.run(["umount", small_disk], check=True)
        subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, small_disk], check=True)
    pi.start()
    await until(lambda: any(r["boot"] == 5 for r in readings(pi)), pi.said)
    await asyncio.to_thread(pi.stop)
    assert pi.nothing_is_missing()
    finding = pi.finding()
    assert finding.total("lost_reported") == 0 and finding.total("out_of_order") == 0
    taken = len({(r["boot"], r["up"]) for r in readings(pi)})
    assert taken <= pi.bme280.conversions <= taken + 4 + finding.total("waiting")
