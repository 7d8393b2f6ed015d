"""`fieldpost queue` against rings that the device's own code wrote, and that were then damaged on purpose.

Goal: what is whole is found, whatever lies around it, and nothing is invented. Method: a ring is filled by the
firmware's Ring over some laps; the test keeps every record it appended and compares.
"""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys

import pytest
from fieldpost.ports.file_region import FileRegion
from fieldpost.records import schema
from fieldpost.records.reading_schema import ReadingSchema
from fieldpost.ring.log import Ring
from fieldpost.ring.region import SubRegion
from fieldpost.sensors.bme280 import Bme280
from typer.testing import CliRunner

from host_tools.cli import app
from host_tools.queue.scan import scan

SECTORS = 16
JOURNAL = 4
SCHEMA = ReadingSchema(Bme280.schema)


class Written:
    """A queue file as the Pi keeps it, and what was appended to it, by number."""

    def __init__(self, path, records, forget=0, seed=1, region=None):
        self.path = path
        self.records = {}
        self.region = region or FileRegion(str(path), SECTORS)
        journal = Ring(SubRegion(self.region, 0, JOURNAL))
        journal.append(1, b"12345678\0")
        self.ring = Ring(SubRegion(self.region, JOURNAL, self.region.sector_count - JOURNAL))
        self.random = random.Random(seed)
        buffer = memoryview(bytearray(220))
        self._keep(schema.BOOT, buffer[: schema.pack_boot(buffer, 1, 0, "power")])
        self._keep(schema.ANCHOR, buffer[: schema.pack_anchor(buffer, 1, 10, 1_700_000_000_000)])
        for index in range(records):
            if index % 100 == 99:
                text = b'"id":"x","status":"done"}'
                self._keep(schema.RESULT, buffer[: schema.pack_text(buffer, 1, index * 500, b"{" + text)])
            values = (2150 + index % 50, 98765, 4800)
            self._keep(schema.READING, buffer[: schema.pack_reading(buffer, 1, index * 500, SCHEMA, values)])
            if forget and self.ring.next_number - 1 - self.ring.cursor > forget:
                self.ring.forget(self.ring.cursor + forget // 2)
        self.ring.sync()

    def _keep(self, kind, payload):
        number = self.ring.append(kind, payload, sync=False)
        self.records[number] = (kind, bytes(payload))

    def kept(self):
        """Return the records that the ring has not overwritten."""
        return {n: r for n, r in self.records.items() if n >= self.ring.first_kept}


def found(path):
    rings = [ring for ring in scan(path) if ring.role != "journal"]
    assert len(rings) == 1
    return rings[0], {record.number: (record.kind, record.payload) for record in rings[0].records}


@pytest.mark.parametrize("records", [0, 5, 700, 1500, 5000])
def test_all_that_is_kept_is_found(tmp_path, records):
    written = Written(tmp_path / "queue", records, forget=300)
    ring, kept = found(written.path)
    assert kept == written.kept()
    assert (ring.cursor, ring.lost) == (written.ring.cursor, written.ring.lost)
    assert ring.next_number == written.ring.next_number
    assert ring.missing() == [] and ring.damage == []


@pytest.mark.parametrize("unit_bytes", [16, 32, 256])
def test_flash_with_larger_program_units_is_read_as_well(tmp_path, unit_bytes):
    """Parts with ECC or encryption (ring.unit_bytes); the image does not tell which it was."""

    class Part(FileRegion):
        pass

    Part.unit_bytes = unit_bytes
    written = Written(tmp_path / "queue", 400, forget=100, region=Part(str(tmp_path / "queue"), SECTORS))
    ring, kept = found(written.path)
    assert kept == written.kept()
    assert ring.cursor == written.ring.cursor and ring.damage == []


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_ring_gives_back_every_whole_frame_and_invents_none(tmp_path, seed):
    written = Written(tmp_path / "queue", 2500, seed=seed)
    rng = random.Random(seed)
    content = bytearray(written.path.read_bytes())
    before, _ = found(written.path)
    where = {record.number: (record.at, len(record.payload)) for record in before.records}
    hit = set()
    for _ in range(rng.randrange(1, 12)):
        at = rng.randrange(JOURNAL * 4096, len(content))
        length = rng.choice((1, 3, 40, 300))
        content[at : at + length] = rng.randbytes(len(content[at : at + length]))
        hit.add((at, at + length))
    # A header as well: its sector must be found without it.
    headless = JOURNAL + rng.randrange(SECTORS - JOURNAL)
    content[headless * 4096 : headless * 4096 + 44] = bytes(44)
    hit.add((headless * 4096, headless * 4096 + 44))
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content)
    _, kept = found(damaged)
    untouched = {
        number
        for number, (at, length) in where.items()
        if not any(start < at + length + 10 and at < end for start, end in hit)
    }
    assert all(written.records[number] == record for number, record in kept.items())
    assert untouched <= kept.keys()


def test_an_image_cut_off_in_front_and_behind_is_read_as_far_as_it_goes(tmp_path):
    written = Written(tmp_path / "queue", 2500)
    content = written.path.read_bytes()
    part = tmp_path / "part"
    part.write_bytes(content[6 * 4096 + 1234 : 13 * 4096 + 700])
    _, kept = found(part)
    whole, _ = found(written.path)
    inside = {r.number for s in whole.sectors for r in s.records if 7 * 4096 <= s.at < 13 * 4096}
    assert inside <= kept.keys() <= written.kept().keys()


def test_blocks_that_a_file_system_lent_are_found_wherever_they_lie(tmp_path):
    """As on a Pico W (fieldpost.ports.lent_blocks): sectors in any order, files of others between them."""
    written = Written(tmp_path / "queue", 2500)
    content = written.path.read_bytes()
    rng = random.Random(7)
    sectors = [content[at : at + 4096] for at in range(0, len(content), 4096)] + [rng.randbytes(4096) for _ in range(9)]
    rng.shuffle(sectors)
    image = tmp_path / "image"
    image.write_bytes(b"".join(sectors))
    _, kept = found(image)
    assert kept == written.kept()


def test_hours_come_from_the_readings_themselves(tmp_path):
    written = Written(tmp_path / "queue", 3000)
    run = CliRunner().invoke(app, ["queue", "stats", str(written.path), "--json"])
    assert run.exit_code == 0, run.output
    (ring,) = json.loads(run.output)["rings"]
    assert ring["interval_s"] == 0.5
    assert ring["pending"] == written.ring.pending
    assert ring["lost_unreported"] == written.ring.oldest - 1
    # What it says that it holds, it does hold: the readings kept now are no fewer.
    readings = sum(1 for kind, _ in written.kept().values() if kind == schema.READING)
    assert 0.9 * readings <= ring["readings_capacity"] <= readings
    assert ring["hours"] == round(ring["readings_capacity"] * 0.5 / 3600, 2)
    text = CliRunner().invoke(app, ["queue", "stats", str(written.path), "--every", "10s"]).output
    assert f"{round(ring['readings_capacity'] * 10 / 3600, 2)} h" in text


def test_export_writes_what_the_hub_would_get(tmp_path):
    written = Written(tmp_path / "queue", 300, forget=100)
    out = tmp_path / "out.jsonl"
    run = CliRunner().invoke(app, ["queue", "export", str(written.path), "--out", str(out)])
    assert run.exit_code == 0, run.output
    objects = [json.loads(line) for line in out.read_text().splitlines()]
    assert [found["n"] for found in objects] == sorted(written.kept())
    reading = next(found for found in objects if "temperature" in found)
    assert reading == {
        "n": reading["n"], "t": 1_699_999_999_990 + reading["up"], "boot": 1, "up": reading["up"],
        "temperature": 21.5, "pressure": 987.65, "humidity": 48.0,
    }  # fmt: skip
    assert out.stat().st_mode & 0o777 == 0o600
    run = CliRunner().invoke(app, ["queue", "export", str(written.path), "--csv", "--pending"])
    rows = list(csv.DictReader(run.output.splitlines()))
    assert [int(row["n"]) for row in rows] == [n for n in sorted(written.kept()) if n > written.ring.cursor]
    assert rows[-1]["temperature"]


def test_verify_and_export_refuse_what_salvage_saves(tmp_path):
    written = Written(tmp_path / "queue", 1000)
    assert CliRunner().invoke(app, ["queue", "verify", str(written.path)]).exit_code == 0
    ring, _ = found(written.path)
    victim = next(record for record in ring.records if record.number == 500)
    content = bytearray(written.path.read_bytes())
    content[victim.at + 8] ^= 0x10
    written.path.write_bytes(content)
    run = CliRunner().invoke(app, ["queue", "verify", str(written.path), "--json"])
    assert run.exit_code == 1
    told = json.loads(run.output)["rings"][0]
    assert told["missing"] == [[500, 500]] and told["missing_pending"] == 1
    assert told["damage"][0]["at"] == victim.at
    command = [sys.executable, "-c", "from host_tools.cli import main; main()", "queue"]
    refused = subprocess.run([*command, "export", written.path], capture_output=True, text=True)
    assert refused.returncode == 2 and "salvage" in refused.stderr and refused.stdout == ""
    saved = subprocess.run([*command, "salvage", written.path], capture_output=True, text=True)
    assert saved.returncode == 0
    assert {json.loads(line)["n"] for line in saved.stdout.splitlines()} == written.records.keys() - {500}
    assert "1 are missing: 500" in saved.stderr


@pytest.mark.parametrize("content", [b"", b"no ring at all" * 1000, b"\xff" * 65536, b"FPR2" + bytes(5000)])
def test_a_file_without_a_ring_is_refused_in_one_sentence(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    command = [sys.executable, "-c", "from host_tools.cli import main; main()", "queue", "stats", str(path)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2 and run.stderr.startswith("fieldpost: ") and run.stderr.count("\n") == 1


def test_an_absent_file_is_refused_in_one_sentence(tmp_path):
    command = [sys.executable, "-c", "from host_tools.cli import main; main()", "queue", "verify", str(tmp_path / "x")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2 and "No such file" in run.stderr
