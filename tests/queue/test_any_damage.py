"""Any damage: never a traceback, every whole frame saved, none invented.

Method: the firmware's own rings are written into one file, as a Pi has them; hypothesis draws what happens to it
(bits, stretches of zeros, ones and noise, headers, both ends cut off, sectors in another order) and the command line
is run on the rest. What must come back is computed from where each frame stood.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
from binascii import crc32

import pytest
from fieldpost.ports.file_region import FileRegion
from fieldpost.ring import frame
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from host_tools.queue import commands
from host_tools.queue.scan import scan
from host_tools.queue.seeds import unroll
from host_tools.service import front
from tests.queue.test_queue import JOURNAL, SECTORS, Written

SECTOR = 4096
HEADER = 44
_HEALTHY = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


def tried(examples):
    return settings(max_examples=examples, derandomize=True, deadline=None, suppress_health_check=_HEALTHY)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A file after some laps, and for each record its place: (number, kind, payload, offset, bytes)."""
    path = tmp_path_factory.mktemp("ring") / "queue"
    written = Written(path, 2500)
    written.region.close()
    (ring,) = [ring for ring in scan(path) if ring.role != "journal"]
    frames = [(r.number, r.kind, r.payload, r.at, len(r.payload) + frame.OVERHEAD_BYTES) for r in ring.records]
    assert len(frames) > 1000
    return path.read_bytes(), frames, written.records


def run(path, *words):
    """Run the command line of the package; return (exit code, stdout, stderr). Any other exception is a failure."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = front.main(["queue", words[0], str(path), *words[1:]])
    return code, out.getvalue(), err.getvalue()


stretches = st.lists(
    st.tuples(
        st.integers(0, SECTORS * SECTOR - 1),
        st.sampled_from([1, 2, 16, 44, 256, 1000, SECTOR, 3 * SECTOR]),
        st.sampled_from(["bit", "zeros", "ones", "noise"]),
    ),
    max_size=12,
)


def spoil(content, damage, rng):
    """Do the damage to the bytearray; return the (start, end) of what was touched."""
    touched = []
    for at, length, kind in damage:
        if kind == "bit":
            content[at] ^= 1 << rng.randrange(8)
            touched.append((at, at + 1))
            continue
        end = min(at + length, len(content))
        fill = {"zeros": bytes, "ones": lambda n: b"\xff" * n, "noise": rng.randbytes}[kind]
        content[at:end] = fill(end - at)
        touched.append((at, end))
    return touched


ANY_DAMAGE = {
    "damage": stretches,
    "headers": st.sets(st.integers(JOURNAL, SECTORS - 1), max_size=6),
    "seed": st.integers(0, 2**32),
}


@tried(10)
@given(**ANY_DAMAGE)
def test_every_whole_frame_is_saved_and_none_is_invented(tmp_path, whole, damage, headers, seed):
    judge(tmp_path, whole, damage, headers, seed)


@pytest.mark.exhaustive
@tried(1000)
@given(**ANY_DAMAGE)
def test_every_whole_frame_is_saved_and_none_is_invented_a_thousand_times(tmp_path, whole, damage, headers, seed):
    judge(tmp_path, whole, damage, headers, seed)


def judge(tmp_path, whole, damage, headers, seed):
    content, frames, written = whole
    content = bytearray(content)
    touched = spoil(content, damage, random.Random(seed))
    for index in headers:
        content[index * SECTOR : index * SECTOR + HEADER] = bytes(HEADER)
        touched.append((index * SECTOR, index * SECTOR + HEADER))

    def is_hit(start, end):
        return any(first < end and start < last for first, last in touched)

    path = tmp_path / "damaged"
    path.write_bytes(content)
    has_header = any(not is_hit(i * SECTOR, i * SECTOR + HEADER) for i in range(JOURNAL, SECTORS))
    expected = {number for number, _, _, at, length in frames if not is_hit(at, at + length)}
    rings = [ring for ring in scan(path) if ring.role != "journal"] if has_header else []
    found = {record.number: (record.kind, record.payload) for ring in rings for record in ring.records}
    assert all(written[number] == record for number, record in found.items())
    assert not has_header or expected <= found.keys()
    for words in (("stats", "--json"), ("verify",), ("export", "--csv")):
        code, out, err = run(path, *words)
        assert code in ((0, 1, 2) if words[0] != "stats" else (0, 2))
        assert (code == 2) == err.startswith("fieldpost: "), err
    code, out, err = run(path, "salvage")
    assert code == 0 or not has_header, err
    saved = {json.loads(line)["n"] for line in out.splitlines()}
    assert expected <= saved or not has_header


@tried(10)
@given(content=st.binary(max_size=3 * SECTOR), seed=st.integers(0, 2**32), size=st.integers(0, 200_000))
def test_garbage_is_refused_in_one_sentence(tmp_path, content, seed, size):
    path = tmp_path / "garbage"
    path.write_bytes(content + random.Random(seed).randbytes(size) + b"FPR2" + content)
    for verb in ("stats", "verify", "export", "salvage"):
        code, out, err = run(path, verb)
        assert (code, out, err.count("\n")) == (2, "", 1) and err.startswith("fieldpost: ")


@tried(15)
@given(front_cut=st.integers(0, 6 * SECTOR), back_cut=st.integers(0, 6 * SECTOR))
def test_what_is_left_of_a_file_that_was_cut_at_both_ends_is_saved(tmp_path, whole, front_cut, back_cut):
    content, frames, _ = whole
    path = tmp_path / "part"
    path.write_bytes(content[front_cut : len(content) - back_cut])
    end = len(content) - back_cut
    expected = {number for number, _, _, at, length in frames if front_cut <= at and at + length <= end}
    found = {record.number for ring in scan(path) if ring.role != "journal" for record in ring.records}
    assert expected <= found <= {number for number, *_ in frames}


@pytest.mark.parametrize("is_shuffled", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_a_file_that_has_lost_every_header_is_still_saved(tmp_path, whole, seed, is_shuffled):
    """Two frames of a sector tell its seed; lent blocks lie in any order, with files of others between them."""
    content, frames, written = whole
    rng = random.Random(seed)
    content = bytearray(content)
    for index in range(SECTORS):
        content[index * SECTOR : index * SECTOR + HEADER] = rng.randbytes(HEADER)
    blocks = [bytes(content[at : at + SECTOR]) for at in range(0, len(content), SECTOR)]
    if is_shuffled:
        blocks += [rng.randbytes(SECTOR) for _ in range(9)] + [bytes(SECTOR), (b"all work and no play " * 196)[:SECTOR]]
        rng.shuffle(blocks)
    path = tmp_path / "headless"
    path.write_bytes(b"".join(block.ljust(SECTOR, b" ") for block in blocks))
    code, out, _ = run(path, "salvage")
    assert code == 0
    saved = {found["n"]: found for found in map(json.loads, out.splitlines())}
    assert {number for number, *_ in frames} <= saved.keys() <= written.keys()
    code, out, _ = run(path, "stats", "--json")
    assert code == 0 and {ring["ring_id"] for ring in json.loads(out)["rings"]} == {"unknown"}


def test_commits_of_littlefs_are_no_frames(tmp_path, whole):
    """They end in a CRC-32 of the same polynomial, so that two of them tell the same seed."""
    content, frames, _ = whole
    block = bytearray(b"\xff" * SECTOR)
    for page, name in ((256, b"\x10\x1f\xe4\x18@\0\0\x07main.py "), (512, b"\x10\x1f\xf8\x04@\0\0\x07boot.py ")):
        data = name + bytes(2) + b"\x07\x7f\xef\xe4\x08 \0\0\0\xf4T\x93\0\x0f\xf0\0\x15\x5b\xe3"
        block[page : page + len(data) + 4] = data + crc32(data, 0x2AAE3FD7).to_bytes(4, "little")
    path = tmp_path / "image"
    path.write_bytes(bytes(block) + content + bytes(block))
    assert [ring.name for ring in scan(path)] == [ring.name for ring in scan(path) if ring.ring_id is not None]
    assert {record.number for ring in scan(path) for record in ring.records} >= {number for number, *_ in frames}


@tried(40)
@given(data=st.binary(max_size=64), seed=st.integers(0, 2**32 - 1))
def test_a_crc_run_backwards_gives_its_seed(data, seed):
    assert unroll(data, crc32(data, seed)) == seed


@tried(40)
@given(records=st.lists(st.tuples(st.integers(1, 100), st.binary(max_size=60)), min_size=1, max_size=40))
def test_records_of_any_other_program_are_shown_as_bytes(tmp_path, records):
    """The next version's records, or another's: what their bytes mean is not known, and nothing is lost of them."""
    from fieldpost.ring.log import Ring

    path = tmp_path / "other"
    path.unlink(missing_ok=True)
    region = FileRegion(str(path), 4)
    ring = Ring(region)
    for kind, payload in records:
        ring.append(kind, payload, sync=False)
    ring.sync()
    region.close()
    for words in (("stats",), ("verify",), ("salvage", "--csv")):
        assert run(path, *words)[0] == 0
    code, out, _ = run(path, "salvage")
    is_journal = commands._rings(path)[1] != []
    assert code == 0 and (is_journal or len(out.splitlines()) == len(records))
