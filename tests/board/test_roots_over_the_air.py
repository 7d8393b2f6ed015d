"""The hub's chain ends in another root one day: a board that was told of it in time goes on."""

import asyncio
import base64
import json
from pathlib import Path

import pytest

from host_tools.hub import Hub
from tests.board.agent_bench import board_with_agent, identity


@pytest.mark.exhaustive  # a certificate that is not accepted is tried again after up to a minute
async def test_a_board_follows_its_hub_to_another_root(tmp_path: Path, micropython: Path) -> None:
    first, second = Hub(tmp_path / "first"), Hub(tmp_path / "second")
    key = first.devices.create("shed-1").primary_key
    second.devices.create("shed-1", primary_key=key, secondary_key=key)
    await first.start()
    who = identity("shed-1", [first.ca_der], key=key)
    try:
        async with board_with_agent(tmp_path, micropython, first.port, who, {"roll_roots": True}) as board:
            await board.wait_state(lambda status: status["acked"] >= 5)
            order = {"command": "hub.root", "arguments": {"der": base64.b64encode(second.ca_der).decode()}}
            await first.send("shed-1", json.dumps(order).encode(), {})
            while first.pending("shed-1"):
                await asyncio.sleep(0.05)
            port = first.port
            await first.stop()
            second.port = port
            await second.start()
            await board.wait_state(lambda status: status["error"].startswith("certificate not accepted"))
            await board.wait_state("ready", 150)
            boot = int(board.status["boot"])
            await board.power_cycle(off_s=0)
            await board.wait_state(lambda status: status["boot"] == boot + 1 and status["state"] == "ready")
            assert list(second.messages("shed-1"))
    finally:
        await first.stop() if first.is_open else None
        await second.stop() if second.is_open else None
