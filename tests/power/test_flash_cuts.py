"""The whole device under power cuts inside its flash operations: nothing is lost, nothing acts twice."""

import asyncio

import pytest

from host_tools.lab.folder import LabFolder
from host_tools.lab.lab import running
from host_tools.lab.plan import make_plan
from host_tools.lab.runner import run
from host_tools.lab.settings import Settings

CUTS_PER_BOARD = 100
SEEDS = (1, 2)
COMMANDS = 20


@pytest.mark.slow
async def test_two_hundred_cuts_inside_flash_operations_cost_nothing(tmp_path):
    """Goal: a cut at any moment of any program or erase costs at most the reading that was being taken.

    Method: two boards, an ESP32 and a Pico W, each cut 100 times in a seeded operation after power-on, while
    commands come and some of their acknowledgements get lost; then both drain and are audited.
    """

    async def one_board(seed, shape):
        settings = Settings(shape=shape, sample_interval_ms=100, seed=seed)
        plan = make_plan(20.0, commands=COMMANDS, seed=seed, flash_cuts=CUTS_PER_BOARD)
        async with running(LabFolder(f"board-{seed}", tmp_path / str(seed)), settings, print) as lab:
            return await run(lab, plan, print)

    outcomes = await asyncio.gather(one_board(SEEDS[0], None), one_board(SEEDS[1], "pico_w"))
    for outcome in outcomes:
        counts = outcome.counts
        print(counts)
        assert outcome.problems == []
        assert (counts["missing"], counts["gaps"], counts["out_of_order"]) == (0, 0, 0)
        # The number of a record that the cut tore before it was durable is never used again, and reported.
        assert counts["lost_reported"] <= CUTS_PER_BOARD
        assert 0 <= counts["sampled"] - counts["appended"] <= counts["power_cuts"] == CUTS_PER_BOARD
        assert counts["commands_answered"] == counts["commands_sent"] == COMMANDS
        assert counts["effects_repeated"] == 0
        assert counts["commands_effective"] + counts["commands_interrupted"] >= COMMANDS
        assert counts["appended"] > CUTS_PER_BOARD
