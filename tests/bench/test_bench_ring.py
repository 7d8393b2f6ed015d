"""`fieldpost bench ring` as a user runs it, and the parts that it is put together from."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from host_tools.bench import disk_kind
from host_tools.bench.flash_part import MeteredFlash, Tally

KEYS = [
    "programmed_ratio",
    "erases_per_record",
    "littlefs_programmed_ratio",
    "littlefs_erases_per_record",
    "modelled_ms_per_append",
    "appends_vs_sqlite_full",
    "appends_vs_sqlite_full_groups_of_10",
    "get_ack_vs_persist_queue",
    "bytes_per_bme280_reading",
    "readings_per_mib",
    "recovery_reads",
]


def bench(*arguments, before="", **environment):
    """Run `fieldpost bench` as a user does; before: what is done first in its process."""
    return subprocess.run(
        [sys.executable, "-c", f"{before}\nfrom host_tools.cli import main; main()", "bench", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | environment,
    )


def test_one_run_gives_every_figure_and_a_picture(tmp_path, micropython):
    picture = tmp_path / "ring.svg"
    path = f"{micropython.parent}:{os.environ['PATH']}"
    shown = bench("ring", "--quick", "--json", "--svg", picture, "--disk", tmp_path, PATH=path)
    assert shown.returncode == 0, shown.stderr
    figures = json.loads(shown.stdout.splitlines()[-1])
    assert list(figures)[: len(KEYS)] == KEYS
    assert all(isinstance(value, int | float) and value >= 0 for value in figures.values())
    # What does not depend on the disk is the same everywhere.
    assert figures["programmed_ratio"] <= 1.3 and figures["erases_per_record"] <= 0.025
    assert figures["littlefs_programmed_ratio"] > 10 * figures["programmed_ratio"]
    assert figures["appends_that_wait_for_an_erase"] == 0
    assert figures["bytes_per_bme280_reading"] <= 28
    assert figures["readings_per_mib"] * figures["bytes_per_bme280_reading"] <= 1024 * 1024
    assert figures["recovery_reads"] < 64
    assert figures["agent_code_bytes"] > figures["agent_code_in_rom_bytes"] > figures["ring_code_in_rom_bytes"] > 1_000
    assert figures["ring_code_bytes"] > 10_000 and figures["append_heap_bytes"] <= 256
    root = ElementTree.parse(picture).getroot()
    labels = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"ring, ESP32", "littlefs, one file, ESP32", "fieldpost ring", "persist-queue, SQLiteAckQueue"} <= labels
    assert list(tmp_path.iterdir()) == [picture]


@pytest.mark.parametrize(("module", "package"), [("littlefs", "littlefs-python"), ("persistqueue", "persist-queue")])
def test_a_peer_that_is_not_installed_is_named(module, package, tmp_path):
    shown = bench("ring", "--disk", tmp_path, before=f"import sys; sys.modules[{module!r}] = None")
    assert shown.returncode == 2 and shown.stdout == ""
    assert f"pip install {package}" in shown.stderr and "Traceback" not in shown.stderr


@pytest.mark.parametrize("option", ["--disk", "--svg"])
def test_a_place_that_cannot_be_written_is_named(option, tmp_path):
    nowhere = tmp_path / "none" / "x"
    shown = bench("ring", "--quick", option, nowhere)
    assert shown.returncode == 2 and option in shown.stderr and "Traceback" not in shown.stderr
    assert not nowhere.parent.exists()


def test_a_command_is_counted_and_takes_as_long_as_a_page_at_most():
    flash = MeteredFlash(2)
    before = Tally.of(flash)
    flash.program_anywhere(250, bytes(300))
    flash.erase(1)
    flash.read(0, bytearray(10))
    done = Tally.of(flash) - before
    assert (done.programs, done.bytes_programmed, done.erases, done.bytes_read) == (3, 300, 1, 10)
    assert done.modelled_ms == pytest.approx(3 * 0.7 + 45)
    assert done.modelled_by_bytes_ms == pytest.approx(300 / 256 * 0.7 + 45)


def test_the_file_system_of_a_folder_is_the_innermost_mount(tmp_path):
    mounts = tmp_path / "mounts"
    inner = tmp_path / "a b"
    inner.mkdir()
    escaped = str(inner).replace(" ", "\\040")
    mounts.write_text(f"x / ext4 rw 0 0\nx {escaped} tmpfs rw 0 0\n")
    assert disk_kind.of(tmp_path, mounts) == "ext4"
    assert disk_kind.of(inner, mounts).startswith("tmpfs, in memory")
    assert disk_kind.of(tmp_path, Path("/nonexistent")) == "unknown"
