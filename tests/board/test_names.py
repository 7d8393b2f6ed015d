"""A board whose name server is slow, or silent: it goes on sensing, says what it waits for, and its watchdog is fed."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from host_tools.emulator import EmulatedBoard
from host_tools.hub import Hub
from tests.board.agent_bench import board_with_agent, identity
from tests.board.emulator_bench import running_board

WATCHDOG_MS = 2000
# What the hardware resets by if the program waits for anything that takes longer, with time for a busy machine.
SLOW_S = 5.0


def _uptimes_ms(hub: Hub, boot: int) -> list[int]:
    records = [record for message in hub.messages("shed-1") for record in json.loads(message.body)["records"]]
    return sorted({record["up"] for record in records if record["boot"] == boot and "temperature" in record})


def _assert_sensed_all_the_time(hub: Hub, boot: int) -> None:
    """A reading each 100 ms, if the machine is not busy; none waited as long as the name server takes."""
    uptimes = _uptimes_ms(hub, boot)
    assert max(after - before for before, after in pairwise(uptimes)) < SLOW_S * 1000


async def _start(board: EmulatedBoard, delay_s: float | None) -> int:
    """Restart `board` with a name server that takes `delay_s`; return the boot's number."""
    await board.wait_state(lambda status: status["acked"] >= 5)
    boot = int(board.status["boot"]) + 1
    board.link.names.delay_s = delay_s
    await board.power_cycle(off_s=0)
    return boot


async def test_a_slow_name_server_costs_no_reading_and_no_reset(hub: Hub, tmp_path: Path, micropython: Path) -> None:
    who = identity("shed-1", [hub.ca_der], key=hub.devices.create("shed-1").primary_key)
    async with board_with_agent(tmp_path, micropython, hub.port, who, watchdog_ms=WATCHDOG_MS) as board:
        boot = await _start(board, SLOW_S)
        resets = len(board.reset_causes)
        await board.wait_state(
            lambda status: status["boot"] == boot and status["pending"] >= 20 and status["acked"] == 0
        )
        await board.wait_state(lambda status: status["boot"] == boot and status["acked"] >= 30)
        assert len(board.reset_causes) == resets, board.reset_causes
        _assert_sensed_all_the_time(hub, boot)

        # The address is known by now: a connection that is lost comes back without the name server.
        board.link.names.delay_s = None
        asked = len(board.link.names.asked)
        acked = int(board.status["acked"])
        connections = board.link.connections
        hub.disconnect("shed-1")
        await board.wait_state(lambda status: board.link.connections > connections and status["acked"] > acked + 20)
        assert "localhost" not in board.link.names.asked[asked:]


@pytest.mark.exhaustive  # what never comes is waited for twice
@pytest.mark.parametrize("delay_s", [10.0, None])
async def test_a_name_server_of_ten_seconds_or_none(
    hub: Hub, tmp_path: Path, micropython: Path, delay_s: float | None
) -> None:
    who = identity("shed-1", [hub.ca_der], key=hub.devices.create("shed-1").primary_key)
    async with board_with_agent(tmp_path, micropython, hub.port, who) as board:
        boot = await _start(board, delay_s)
        resets = len(board.reset_causes)
        if delay_s is None:
            await board.wait_line("the time is not known: the name server does not answer")
            # Four times, then it goes by the time of the last boot, and asks for the hub.
            await board.wait_state(lambda status: "localhost: the name server does not answer" in status["error"], 180)
            board.link.names.delay_s = 0
        await board.wait_state(lambda status: status["boot"] == boot and status["acked"] >= 100, 120)
        assert len(board.reset_causes) == resets, board.reset_causes
        _assert_sensed_all_the_time(hub, boot)


async def test_the_firmware_s_own_resolver_holds_everything_up(tmp_path: Path, micropython: Path) -> None:
    """The emulated one too, as lwIP does: what the agent avoids is there to be avoided."""
    program = """\
import machine, network, socket, time
wlan = network.WLAN(network.STA_IF)
wlan.active(True)
wlan.connect("bench", "any")
while not wlan.isconnected():
    time.sleep_ms(20)
machine.WDT(timeout=1000)
print("asking")
socket.getaddrinfo("hub.example", 1)
print("found")
"""
    async with running_board(tmp_path, micropython, {"main.py": program}) as board:
        await board.wait_line("found")
        board.link.names.delay_s = None
        await board.power_cycle(off_s=0)
        await board.wait_line("asking")
        await board.wait_line("asking")
        assert "watchdog" in board.reset_causes
