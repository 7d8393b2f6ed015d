"""A million messages leave the heap as they found it: what is held after a collection is the same at twenty moments."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from host_tools.toolchain import umqtt

PROGRAM = Path(__file__).with_name("flat_heap_program.py")
FIRMWARE = Path(__file__).parents[2] / "firmware"
MILLION = 1_000_000
SLICE = 12_000


@pytest.mark.parametrize(
    ("messages", "order"),
    [
        (SLICE, "oldest"),
        (SLICE, "live"),
        pytest.param(MILLION, "oldest", marks=pytest.mark.exhaustive),
    ],
)
def test_the_heap_is_flat_over_many_messages(micropython, messages, order):
    paths = f"{FIRMWARE}:{umqtt.find_or_download()}:.frozen"
    done = subprocess.run(
        [micropython, "-X", "heapsize=512K", PROGRAM, str(messages), order],
        env={**os.environ, "MICROPYPATH": paths},
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["messages"] >= messages and found["duplicates"] > 0, "the link did break"
    held = found["held"][2:]  # the first connections fill what is kept for all
    assert len(held) == 18
    # A list that grew, or a number that no longer fits in a word, takes a block or two more, once, and when that is
    # depends on where things lie in the heap; nothing may add up.
    assert max(held) - min(held) <= 256, held
    assert min(held[12:]) - min(held[:6]) <= (64 if messages == MILLION else 192), held
