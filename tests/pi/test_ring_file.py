"""The queue's file in an administrator's hands: two services, another size or division, a disk that fails once."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from tests.pi.until import until


def readings(pi):
    return [r for r in pi.records() if "temperature" in r]


async def test_a_second_service_on_the_same_file_is_refused_in_one_line(pi):
    pi.start()
    await until(lambda: readings(pi), pi.said)
    first, pi.log = pi.process, pi.folder / "second-log"
    pi.start()
    second, pi.process = pi.process, first
    assert await asyncio.to_thread(second.wait, 60) == 1
    assert "another fieldpost service has the queue open" in pi.said() and str(pi.ring) in pi.said()
    assert len(pi.said().splitlines()) == 1
    before = len(readings(pi))
    await until(lambda: len(readings(pi)) > before + 5, pi.said)
    await asyncio.to_thread(pi.stop)
    assert pi.nothing_is_missing()


async def test_a_size_that_changes_loses_nothing_and_is_told(pi):
    """64, 32, 96 sectors in three lives without a hub; then all of them arrive."""
    await pi.end_hub()
    for sectors, said in (
        (64, None),
        (32, "the queue keeps its 64 sectors, though ring.sectors is 32"),
        (96, "the queue grows from 64 to 96 sectors"),
    ):
        pi.settings["ring"]["sectors"] = sectors
        pi.start()
        taken = pi.bme280.conversions
        await until(lambda taken=taken: pi.bme280.conversions >= taken + 10, pi.said)
        await asyncio.to_thread(pi.stop)
        assert said is None or said in pi.said()
    assert pi.ring.stat().st_size == 96 * 4096
    await pi.begin_hub()
    pi.start()
    await until(lambda: len({r["boot"] for r in readings(pi)}) == 4, pi.said)
    await asyncio.to_thread(pi.stop)
    assert pi.nothing_is_missing() and pi.finding().total("lost_reported") == 0
    assert len({(r["boot"], r["up"]) for r in readings(pi)}) + pi.finding().total("waiting") >= pi.bme280.conversions


async def test_another_division_of_the_file_is_refused_for_good(pi):
    pi.start()
    await until(lambda: readings(pi), pi.said)
    await asyncio.to_thread(pi.stop)
    before = pi.ring.read_bytes()
    pi.settings["ring"].update(journal_sectors=8)
    pi.start()
    assert await asyncio.to_thread(pi.process.wait, 60) == 78
    assert "give the region back its place and size" in pi.said().splitlines()[-1]
    assert "Traceback" not in pi.said() and pi.ring.read_bytes() == before


# Run in the service's process before anything else: the disk refuses one fdatasync, and takes every later one.
_ONE_FAILURE = """
import os, sys, runpy
real, calls = os.fdatasync, [0]
def fdatasync(file):
    calls[0] += 1
    if calls[0] == 40:
        raise OSError(5, "Input/output error")
    real(file)
os.fdatasync = fdatasync
sys.argv[:] = sys.argv[1:]
runpy.run_module("host_tools.emulator.pi", run_name="__main__", alter_sys=True)
"""


async def test_a_sync_that_fails_once_ends_the_service_though_the_next_would_succeed(pi):
    """What the kernel dropped is dropped: only a start that reads the file anew knows what is stored."""
    (pi.folder / "start.py").write_text(_ONE_FAILURE)
    (pi.folder / "config.json").write_text(pi.configuration())
    program = [str(pi.folder / "start.py"), "x", str(pi.hardware.path), pi.model, "fieldpost.daemon"]
    with open(pi.log, "wb") as log:
        pi.process = subprocess.Popen(
            [sys.executable, *program, "--config", str(pi.folder / "config.json")],
            env=pi.environment,
            stderr=log,
        )
    assert await asyncio.to_thread(pi.process.wait, 60) == 1
    assert "the disk does not answer" in pi.said().splitlines()[-1]
    assert "Traceback" not in pi.said()
    pi.start()
    await until(lambda: any(r["boot"] == 2 for r in readings(pi)), pi.said)
    await asyncio.to_thread(pi.stop)
    assert pi.nothing_is_missing()
