"""A whole board, flashed and compiled as boards are, behind a network that lets nothing out but WebSockets."""

import asyncio

from host_tools.hub import Hub
from tests.board.agent_bench import board_with_agent, identity


async def test_a_board_delivers_and_obeys_over_websockets(tmp_path, micropython):
    hub = Hub(tmp_path / "hub")
    await hub.start()
    who = identity("framed-1", [hub.ca_der], key=hub.devices.create("framed-1").primary_key)
    try:
        async with board_with_agent(tmp_path, micropython, hub.port, who, {"transport": "websockets"}):
            async with asyncio.timeout(120):
                while not any(hub.messages("framed-1")):
                    await asyncio.sleep(0.05)
                await hub.send("framed-1", b'{"command":"ping"}', {})
                while hub.pending("framed-1"):
                    await asyncio.sleep(0.05)
    finally:
        await hub.stop()
