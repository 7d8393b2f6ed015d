"""A board whose time servers are silent, or lie."""

import json
from pathlib import Path
from typing import Any

import pytest

from host_tools.hub import Hub
from tests.board.agent_bench import board_with_agent, identity

YEAR_S = 365 * 86_400


def _readings(hub: Hub, boot: int) -> list[dict[str, Any]]:
    records = [record for message in hub.messages("shed-1") for record in json.loads(message.body)["records"]]
    return [record for record in records if record["boot"] == boot and "temperature" in record]


@pytest.mark.exhaustive  # four questions that nobody answers take half a minute
async def test_a_board_delivers_where_nobody_tells_the_time(hub: Hub, tmp_path: Path, micropython: Path) -> None:
    """Goal: TLS goes on by the newest time that a connection has confirmed, and a server that lies changes nothing."""
    who = identity("shed-1", [hub.ca_der], key=hub.devices.create("shed-1").primary_key)
    async with board_with_agent(tmp_path, micropython, hub.port, who) as board:
        await board.wait_state(lambda status: status["acked"] >= 20)
        first = int(board.status["boot"])
        board.link.time_off_s = None
        await board.power_cycle(off_s=0)
        await board.wait_state(lambda status: status["boot"] == first + 1 and status["acked"] >= 20, 120)
        assert any("the time is not known" in line for line in board.console)
        assert _readings(hub, first)[-1]["t"] is not None
        assert all(record.get("t") is None for record in _readings(hub, first + 1))

        board.link.time_off_s = -10 * YEAR_S
        await board.power_cycle(off_s=0)
        await board.wait_line("it is before this firmware was made")
        board.link.time_off_s = 0.0
        await board.wait_state(lambda status: status["boot"] == first + 2 and status["acked"] >= 20, 120)
        assert _readings(hub, first + 2)[-1]["t"] is not None
