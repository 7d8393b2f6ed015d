"""The firmware itself on an emulated RP2040, and the agent's scenario on it.

Without rp2040py (`pip install rp2040py`) and without FIELDPOST_PICO_W_UF2 it is skipped and says so.
"""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from host_tools import boards
from host_tools.emulator.board import EmulatedBoard
from host_tools.flash import install
from host_tools.hub import Hub
from host_tools.hub.behaviour import Behaviour
from host_tools.lab import lab as lab_module
from host_tools.lab import runner
from host_tools.lab.folder import LabFolder
from host_tools.lab.hardware import board_shape
from host_tools.lab.lab import Lab
from host_tools.lab.plan import make_plan
from host_tools.lab.quantities import Span
from host_tools.lab.settings import Settings
from host_tools.toolchain import firmware
from tests.flash.bare_bench import NOWHERE, run_tool
from tests.flash.rp2040_bench import quick_engine  # noqa: F401 - a fixture for all of it

LONG_S = 7200.0  # a second of the chip takes half a minute of one free core, and a shared machine's are not free
HEAP_FREE_BYTES_MIN = 120 * 1024


def _firmware() -> Path:
    given = os.environ.get("FIELDPOST_PICO_W_UF2")
    if not given:
        pytest.skip("no firmware: set FIELDPOST_PICO_W_UF2 to a RPI_PICO_W-*.uf2 file from micropython.org")
    pytest.importorskip("rp2040py", reason="rp2040py is not installed: pip install rp2040py")
    return Path(given)


class Tale:
    """What happens, and when: printed at once for whoever waits (pytest -s), kept for whoever asks why."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.board: Any = None
        self._begun_s = time.monotonic()

    def tell(self, line: str) -> None:
        chip_s = 0.0 if self.board is None else self.board.emulated_s
        self.lines.append(f"{time.monotonic() - self._begun_s:7.1f} s, chip {chip_s:6.2f} s: {line}")
        print(self.lines[-1], flush=True)


@pytest.mark.slow
async def test_the_firmware_itself_answers_mpremote_and_reads_the_sensor(tmp_path: Path) -> None:
    """Goal: unmodified mpremote meets the very firmware of a Pico W, with the sensor on its bus and the pins seen."""
    from host_tools.emulator.rp2040 import FirmwareBoard

    board = FirmwareBoard(tmp_path, _firmware(), board_shape(boards.load("pico_w")), NOWHERE)
    try:
        await board.power_on()
        port = ["connect", board.serial_port]
        program = (
            "from machine import I2C, Pin; i2c = I2C(0, scl=Pin(5), sda=Pin(4)); "
            "print(i2c.scan(), i2c.readfrom_mem(119, 0xD0, 1)); relay = Pin(15, Pin.OUT, value=1); relay(0)"
        )
        code, said = await run_tool("mpremote", *port, "exec", program)
        assert code == 0 and "[119] b'`'" in said, said
        assert [edge.level for edge in board.pins[15].edges] == [1, 0]
        kept = tmp_path / "kept.txt"
        kept.write_text("through a power cut")
        code, said = await run_tool("mpremote", *port, "cp", kept, ":")
        assert code == 0, said
        await board.power_off()
        await board.power_on()
        code, said = await run_tool("mpremote", *port, "cat", "kept.txt")
        assert code == 0 and "through a power cut" in said, said
    finally:
        await board.close()
    assert (tmp_path / "flash.bin").stat().st_size == board.shape.flash_bytes


@dataclass(frozen=True)
class LifeOnTheChip:
    """What came of the scenario. free_bytes: the agent's own words, with TLS up. told: for whoever asks why."""

    problems: list[str]
    counts: dict[str, Any]
    free_bytes: int
    told: str


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory, micropython: Path) -> LifeOnTheChip:
    """The scenario, once for all that is asked of it: it takes minutes."""
    return asyncio.run(_live(tmp_path_factory.mktemp("chip"), _firmware(), micropython))


@pytest.mark.slow
def test_the_agent_on_the_firmware_itself_loses_nothing(life: LifeOnTheChip) -> None:
    """Goal: the scenario of ./flash.sh emulator, on the firmware of a Pico W."""
    counts = life.counts
    print(counts)
    assert not life.problems, [life.problems, life.told]
    assert counts["missing"] == counts["gaps"] == counts["effects_repeated"] == 0, life.told
    assert counts["commands_effective"] == counts["commands_sent"] == 5 and counts["sampled"] >= 10, life.told


@pytest.mark.slow
def test_the_agent_leaves_120_kb_of_the_heap_free_with_tls_up(life: LifeOnTheChip) -> None:
    print("free heap with TLS up:", life.free_bytes)
    assert life.free_bytes >= HEAP_FREE_BYTES_MIN


async def _live(path: Path, file: Path, micropython: Path) -> LifeOnTheChip:
    """Flash by mpremote on the quick emulated board, and move its flash over, as if the chip had been soldered to the
    other board. Then readings, commands, an outage, a power cut and a drain, each waited for; the judges are those of
    every scenario.
    """
    from host_tools.emulator.rp2040 import PATIENCE, SSID, FirmwareBoard

    spec = boards.load("pico_w")
    shape = board_shape(spec)
    folder = LabFolder("chip", path)
    folder.claim()
    # A name that the chip has to look up, whatever it takes localhost for; and limits in the chip's seconds, not ours.
    hub = Hub(folder.hub, hostname="hub.bench", behaviour=Behaviour(patience=PATIENCE))
    await hub.start()
    tale = Tale()
    board = FirmwareBoard(folder.board, file, shape, ("127.0.0.1", hub.port), report=tale.tell)
    tale.board = board
    board.on_line(tale.tell)
    try:
        lab = Lab(folder, Settings("pico_w"), spec, hub, cast(Any, board))
        wifi = [{"ssid": SSID}]
        config = spec.device_config(
            "chip", hub.hostname, hub.port, sample_interval_ms=1000, status_interval_ms=2000, wifi=wifi
        )
        identity = {**lab.identity(), "wifi_passwords": {SSID: "any"}}
        tree = await asyncio.to_thread(firmware.build, folder.firmware, tale.tell)
        quick = EmulatedBoard(path / "quick", "chip", shape, micropython, NOWHERE)
        await quick.power_on()
        await asyncio.to_thread(install, str(quick.serial_port), tree, config, identity, tale.tell)
        await quick.wait_state(lambda status: status["next_number"] > 1, 120)  # its file system has lent its blocks
        await quick.close()
        board.flash.put((path / "quick" / "flash.bin").read_bytes())
        plan = make_plan(1.0, power_cuts=[Span(0.1, 0.1)], outages=[Span(0.3, 0.1)], commands=0, seed=7)
        scenario = Scenario(lab, plan, tale.tell)
        with pytest.MonkeyPatch.context() as patch:
            for module, limit in (
                (lab_module, "FIRST_READING_S_MAX"),
                (runner, "DRAIN_S_MAX"),
                (runner, "QUIET_S_MAX"),
            ):
                patch.setattr(module, limit, LONG_S)
            outcome = await scenario.run()
        told = "\n".join([str(outcome.counts), f"free {scenario.free_bytes}", *tale.lines[-60:]])
        return LifeOnTheChip(list(outcome.problems), outcome.counts, scenario.free_bytes, told)
    finally:
        await board.close()
        await hub.stop()
        folder.release()


class Scenario(runner._Run):
    """The scenario of every lab, step by step: what follows waits for what came before, however slow the chip is."""

    async def _follow_timeline(self) -> None:
        board = self._lab.board
        await self._answered("pulse")
        await self._answered("set")
        self._report("how much heap is free")
        self.free_bytes = await self._free_bytes()
        await self._do("link_down")
        await self._sampled(4)
        await self._do("pulse")
        await self._do("link_up")
        await self._all_answered()
        await self._answered("set")
        boots = board.boots
        await self._do("power_off")
        await self._do("power_on")
        await self._sampled(2)
        assert board.boots == boots + 1, "it was reset, by its watchdog or by itself"
        await self._answered("pulse")

    async def _answered(self, action: str) -> None:
        await self._do(action)
        await self._all_answered()

    async def _all_answered(self) -> None:
        for sent in self._sent_ids:
            found = await self._lab.watch.result(sent, LONG_S)
            assert found is not None and found["status"] == "done", (sent, found)
        self._report(f"{len(self._sent_ids)} commands done")

    async def _sampled(self, count: int) -> None:
        wanted = self._lab.board.bme280.conversions + count
        async with asyncio.timeout(LONG_S):
            while self._lab.board.bme280.conversions < wanted:
                await asyncio.sleep(0.1)

    async def _free_bytes(self) -> int:
        """Return the most of the free heap that three statuses tell of: the agent collects before it looks, and what it
        has loaded for a report of the twin is put away again.
        """
        board = self._lab.board
        found = []
        for _ in range(3):
            before_ms = board.status["uptime_ms"]

            def is_next(status: dict[str, Any], before_ms: int = before_ms) -> bool:
                return status["state"] == "ready" and status["uptime_ms"] > before_ms

            status = await board.wait_state(is_next, LONG_S)
            found.append(int(status["heap_free"]))
        return max(found)
