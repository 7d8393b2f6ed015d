"""One Raspberry Pi, or several, each with a hub of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from host_tools.hub import Hub
from tests.pi.machine import Pi, run_folder


@pytest.fixture
def run():
    """A folder for sockets."""
    folder = run_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def make_pi(tmp_path):
    """Make a Pi of a model, with a hub of its own."""
    made: list[Pi] = []

    async def make(model: str = "4b", hardware: Path | None = None) -> Pi:
        hub = Hub(tmp_path / f"hub{len(made)}")
        await hub.start()
        made.append(Pi(tmp_path / f"pi{len(made)}", hub, model, hardware))
        return made[-1]

    yield make
    for machine in made:
        machine.close()
        await machine.hub.stop()


@pytest.fixture
async def pi(make_pi):
    return await make_pi()
