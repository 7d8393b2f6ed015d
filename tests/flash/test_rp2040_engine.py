"""The firmware itself on an emulated RP2040: what surrounds the chip, and, given a firmware file, the whole.

Without rp2040py (`pip install rp2040py`) and without FIELDPOST_PICO_W_UF2, what needs them is skipped and says so;
the network's answers and the bus are tested without either.
"""

import asyncio
import importlib.util
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from host_tools import boards
from host_tools.emulator import BoardShape
from host_tools.emulator.bme280 import Bme280
from host_tools.emulator.board import EmulatedBoard
from host_tools.emulator.i2c import I2cWires
from host_tools.emulator.rp2040.flash_mirror import FlashMirror
from host_tools.emulator.rp2040.i2c_bus import I2cBus
from host_tools.emulator.rp2040.i2c_pins import I2cPins
from host_tools.emulator.rp2040.network import DNS_PORT, NTP_PORT, answer
from host_tools.emulator.rp2040.pins import ChipPins
from host_tools.emulator.rp2040.quick import engine_room
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
from tests.flash.bare_bench import NOWHERE, run_fieldpost, run_tool

GATEWAY = bytes([10, 0, 0, 1])
ADDRESS = 0x77


@pytest.fixture(scope="module", autouse=True)
def quick_engine() -> None:
    """Compile the engine before anything imports it, where there is a firmware file for it to run."""
    if os.environ.get("FIELDPOST_PICO_W_UF2") and importlib.util.find_spec("rp2040py") is not None:
        engine_room(print)


class Controller:
    """Stands for rp2040py's RPI2C: drives the hooks as a transfer of the firmware would."""

    on_start: Callable[[bool], None]
    on_connect: Callable[[int, int], None]
    on_write_byte: Callable[[int], None]
    on_read_byte: Callable[[bool], None]
    on_stop: Callable[[], None]

    def __init__(self) -> None:
        self.is_acked = False
        self.received: list[int] = []

    def complete_start(self) -> None: ...
    def complete_stop(self) -> None: ...
    def complete_write(self, ack: bool) -> None: ...

    def complete_connect(self, ack: bool) -> None:
        self.is_acked = ack

    def complete_read(self, value: int) -> None:
        self.received.append(value)

    def transfer(self, address: int, data: bytes, read: int) -> bytes | None:
        """Write and read with a repeated start between them; None if the address is not acknowledged."""
        self.received = []
        for repeated, part in enumerate((data, bytes(read))):
            if not part:
                continue
            self.on_start(bool(repeated))
            self.on_connect(address, repeated)
            if not self.is_acked:
                self.on_stop()
                return None
            for index, value in enumerate(part):
                if repeated:
                    self.on_read_byte(index < read - 1)
                else:
                    self.on_write_byte(value)
        self.on_stop()
        return bytes(self.received)


def test_the_sensor_answers_through_the_bus_as_it_does_without() -> None:
    now_s = [10.0]
    controller, wires = Controller(), I2cWires()
    wires.attach(ADDRESS, Bme280(lambda: now_s[0]))
    I2cBus(controller, wires)
    twin = Bme280(lambda: now_s[0])
    now_s[0] += 1
    assert controller.transfer(ADDRESS, b"\xd0", 1) == b"\x60"
    assert controller.transfer(0x10, b"\xd0", 1) is None
    for register in (b"\x88", b"\xe1"):
        twin.write(register)
        assert controller.transfer(ADDRESS, register, 24) == twin.read(24)
    for setting in (b"\xf2\x01", b"\xf4\x25"):
        twin.write(setting)
        assert controller.transfer(ADDRESS, setting, 0) == b""
    now_s[0] += 1
    twin.write(b"\xf7")
    sample = controller.transfer(ADDRESS, b"\xf7", 8)
    assert sample == twin.read(8) and sample != b"\x80\x00\x00" * 2 + b"\x80\x00"


class PinMaster:
    """Moves two lines as MicroPython's soft I2C does (UM10204, section 3.1): open drain, 1 lets a line go."""

    def __init__(self, sda: Callable[[int], object], scl: Callable[[int], object], read: Callable[[], int]) -> None:
        self._sda, self._scl, self._read = sda, scl, read

    def transfer(self, address: int, data: bytes, read: int) -> bytes | None:
        """Write, then read with a repeated start between them; None if the address is not acknowledged."""
        got = bytearray()
        is_acked = True
        for direction, wanted in ((0, bool(data) or not read), (1, bool(read))):
            if not wanted or not is_acked:
                continue
            self._start()
            is_acked = self._put(address << 1 | direction)
            if is_acked and not direction:
                assert all(self._put(value) for value in data)
            elif is_acked:
                got += bytes(self._get(index < read - 1) for index in range(read))
        self._stop()
        return bytes(got) if is_acked else None

    def _start(self) -> None:
        self._sda(1), self._scl(1), self._sda(0), self._scl(0)

    def _stop(self) -> None:
        self._sda(0), self._scl(1), self._sda(1)

    def _put(self, value: int) -> bool:
        for bit in range(7, -1, -1):
            self._sda(value >> bit & 1), self._scl(1), self._scl(0)
        self._sda(1), self._scl(1)
        is_acked = not self._read()
        self._scl(0)
        return is_acked

    def _get(self, ack: bool) -> int:
        value = 0
        self._sda(1)
        for _ in range(8):
            self._scl(1)
            value = value << 1 | self._read()
            self._scl(0)
        self._sda(0 if ack else 1), self._scl(1), self._scl(0)
        self._sda(1)
        return value


def test_the_sensor_answers_on_the_bare_pins_too() -> None:
    wires, held = I2cWires(), [False]
    wires.attach(ADDRESS, Bme280(lambda: 10.0))
    levels = [1]
    pins = I2cPins(wires, lambda low: held.__setitem__(0, low))

    def sda(level: int) -> None:
        levels[0] = level
        pins.sda(level)

    master = PinMaster(sda, pins.scl, lambda: levels[0] & (not held[0]))
    twin = Bme280(lambda: 10.0)
    assert master.transfer(ADDRESS, b"", 0) == b"" and master.transfer(0x10, b"", 0) is None
    assert master.transfer(0x10, b"", 1) is None
    assert master.transfer(ADDRESS, b"\xd0", 1) == b"\x60"
    for register in (b"\x88", b"\xe1"):
        twin.write(register)
        assert master.transfer(ADDRESS, register, 24) == twin.read(24)
    assert master.transfer(ADDRESS, b"\xf2\x01", 0) == b""
    assert master.transfer(ADDRESS, b"\xf2", 1) == b"\x01"
    assert not held[0], "the line is let go between transfers"


def test_every_name_is_the_hubs() -> None:
    name = b"\x04pool\x03ntp\x03org\x00"
    query = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + name + struct.pack("!HH", 1, 1)
    got = answer(DNS_PORT, query, GATEWAY)
    assert got is not None
    assert got[:2] == query[:2] and got[2] & 0x80 and got.endswith(struct.pack("!H", 4) + GATEWAY)
    assert struct.unpack("!HHHH", got[4:12])[:2] == (1, 1)
    sixes = query[:-4] + struct.pack("!HH", 28, 1)  # AAAA: there is the name, and no such address
    got = answer(DNS_PORT, sixes, GATEWAY)
    assert got is not None and struct.unpack("!HH", got[4:8]) == (1, 0)
    for damaged in (b"", query[:11], query[:20], got):
        assert answer(DNS_PORT, damaged, GATEWAY) is None
    assert answer(5353, query, GATEWAY) is None


def test_the_time_is_this_machines() -> None:
    query = b"\x1b" + bytes(39) + b"abcdefgh"
    got = answer(NTP_PORT, query, GATEWAY, clock=lambda: 1_700_000_000.5)
    assert got is not None and len(got) == 48
    assert got[0] & 7 == 4 and got[24:32] == b"abcdefgh"
    assert struct.unpack("!II", got[40:48]) == (1_700_000_000 + 2_208_988_800, 2**31)
    assert answer(NTP_PORT, b"\x1b", GATEWAY) is None


async def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for words, said in (
        (["esp32", "--engine", "rp2040"], "emulates a pico_w, not an esp32"),
        (["pico_w", "--engine", "qemu"], "expected micropython or rp2040"),
        (["pico_w", "--firmware", "x"], "--firmware is for --engine rp2040"),
    ):
        code, _, err = await run_fieldpost(tmp_path, "emulate", *words)
        assert code == 2 and said in err, err


# With rp2040py


def test_the_chip_takes_the_bench() -> None:
    pytest.importorskip("rp2040py", reason="rp2040py is not installed: pip install rp2040py")
    from rp2040py.rp2040 import RP2040

    from host_tools.emulator.rp2040.board import Wiring
    from host_tools.emulator.rp2040.wifi import BenchWifi

    chip = RP2040()
    BenchWifi(("127.0.0.1", 9)).attach(chip)
    wires, pins = I2cWires(), ChipPins()
    wires.attach(ADDRESS, Bme280(lambda: 10.0))
    Wiring(wires, BoardShape.pico_w()).attach(chip)
    pins.attach(chip)
    # As the firmware does it, through registers ("RP2040 Datasheet", sections 2.3.1.7, 2.19.6, 4.3.17).
    for address, value in (
        (0x40014000 + 8 * 15 + 4, 5),
        (0xD0000024, 1 << 15),
        (0xD0000014, 1 << 15),
        (0xD0000018, 1 << 15),
    ):
        chip.write_uint32(address, value)
    assert [(edge.level, edge.cause) for edge in pins[15].edges] == [(1, "agent"), (0, "agent")]
    for offset, value in ((0x6C, 0), (0x04, ADDRESS), (0x6C, 1), (0x10, 0xD0), (0x10, 0x700)):
        chip.write_uint32(0x40044000 + offset, value)
    assert chip.read_uint32(0x40044000 + 0x10) & 0xFF == 0x60, "the BME280's id"


def test_a_probe_on_the_chips_pins_is_acknowledged() -> None:
    """Goal: what MicroPython's port does for a write of no bytes finds the sensor, and nothing else."""
    pytest.importorskip("rp2040py", reason="rp2040py is not installed: pip install rp2040py")
    from rp2040py.rp2040 import RP2040

    from host_tools.emulator.rp2040.board import Wiring

    chip, wires = RP2040(), I2cWires()
    wires.attach(ADDRESS, Bme280(lambda: 10.0))
    Wiring(wires, BoardShape.pico_w()).attach(chip)
    for gpio in (4, 5):  # function SIO; the level to drive is 0, so output enable alone moves the line
        chip.write_uint32(0x40014000 + 8 * gpio + 4, 5)
        chip.write_uint32(0x4001C004 + 4 * gpio, 0x5A)  # input enabled, pulled up

    def sda(level: int) -> None:
        chip.write_uint32(0xD0000028 if level else 0xD0000024, 1 << 4)

    def scl(level: int) -> None:
        chip.write_uint32(0xD0000028 if level else 0xD0000024, 1 << 5)

    def read_sda() -> int:
        return chip.read_uint32(0xD0000004) >> 4 & 1

    master = PinMaster(sda, scl, read_sda)
    assert [address for address in range(8, 0x78) if master.transfer(address, b"", 0) is not None] == [ADDRESS]


def test_the_flash_is_in_the_file_before_anything_is_told(tmp_path: Path) -> None:
    """Goal: a killed emulator is a board whose plug was pulled: no completed operation is lost, none half undone."""
    pytest.importorskip("rp2040py", reason="rp2040py is not installed: pip install rp2040py")
    from rp2040py.rp2040 import RP2040

    shape = BoardShape.pico_w()
    row = shape.partition("storage")
    path = tmp_path / "flash.bin"

    def start(cut_at: int | None = None) -> tuple[Any, FlashMirror, list[str]]:
        chip, told = RP2040(), []
        mirror = FlashMirror(path, shape.flash_bytes, row, seed=5)
        mirror.attach(chip)
        if cut_at is not None:
            mirror.cut_at(cut_at, lambda: told.append("cut"))
        chip.write_uint32(SSI + 0x08, 1)
        return chip, mirror, told

    chip, mirror, _ = start()
    _command(chip, b"\x06")
    _command(chip, b"\x02" + row.offset.to_bytes(3, "big") + b"first")
    assert path.read_bytes()[row.offset :][:6] == b"first\xff"  # nothing was closed: the process may die here
    assert (mirror.bytes_programmed, mirror.erases) == (5, 0)
    mirror.detach()
    mirror.close()
    chip, mirror, told = start(cut_at=1)
    assert bytes(chip.flash[row.offset :][:5]) == b"first"
    _command(chip, b"\x06")
    _command(chip, b"\x02" + (row.offset + 8).to_bytes(3, "big") + b"kept")
    _command(chip, b"\x06")
    _command(chip, b"\x20" + row.offset.to_bytes(3, "big"))
    assert told == ["cut"]
    torn = path.read_bytes()[row.offset :][:12]
    assert torn != b"first\xff\xff\xffkept" and torn != b"\xff" * 12, "the erase was interrupted"
    assert all(after & before == before for after, before in zip(torn, b"first\xff\xff\xffkept", strict=True))


SSI, QSPI_SS = 0x18000000, 0x40018000 + 8 + 4


def _command(chip: Any, data: bytes) -> None:
    """Send one command to the flash as the boot ROM does, QSPI_SS low meanwhile, and then ask for its status."""
    for part in (data, b"\x05\x00"):
        chip.write_uint32(QSPI_SS, 2 << 8)
        for value in part:
            chip.write_uint32(SSI + 0x60, value)
        chip.write_uint32(QSPI_SS, 3 << 8)


# With a firmware file


LONG_S = 7200.0  # a second of the chip takes half a minute of one free core, and a shared machine's are not free
HEAP_FREE_BYTES_MIN = 120_000


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
