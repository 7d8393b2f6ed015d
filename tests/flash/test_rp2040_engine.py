"""The firmware itself on an emulated RP2040: what surrounds the chip, and, given a firmware file, the whole.

Without rp2040py (`pip install rp2040py`) and without FIELDPOST_PICO_W_UF2, what needs them is skipped and says so;
the network's answers and the bus are tested without either.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from host_tools import boards
from host_tools.emulator import BoardShape
from host_tools.emulator.bme280 import Bme280
from host_tools.emulator.i2c import I2cWires
from host_tools.emulator.rp2040.i2c_bus import I2cBus
from host_tools.emulator.rp2040.network import DNS_PORT, NTP_PORT, answer
from host_tools.lab.hardware import board_shape
from tests.flash.bare_bench import run_fieldpost, run_tool

GATEWAY = bytes([10, 0, 0, 1])
ADDRESS = 0x77


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

    from host_tools.emulator.rp2040.engine import Bench
    from host_tools.emulator.rp2040.wifi import BenchWifi

    chip = RP2040()
    BenchWifi(("127.0.0.1", 9)).attach(chip)
    seen: list[tuple[int, int]] = []
    Bench(BoardShape.pico_w(), lambda number, level: seen.append((number, level))).attach(chip)
    # As the firmware does it, through registers ("RP2040 Datasheet", sections 2.3.1.7, 2.19.6, 4.3.17).
    for address, value in (
        (0x40014000 + 8 * 15 + 4, 5),
        (0xD0000024, 1 << 15),
        (0xD0000014, 1 << 15),
        (0xD0000018, 1 << 15),
    ):
        chip.write_uint32(address, value)
    assert [edge for edge in seen if edge[0] == 15][-2:] == [(15, 1), (15, 0)]
    for offset, value in ((0x6C, 0), (0x04, ADDRESS), (0x6C, 1), (0x10, 0xD0), (0x10, 0x700)):
        chip.write_uint32(0x40044000 + offset, value)
    assert chip.read_uint32(0x40044000 + 0x10) & 0xFF == 0x60, "the BME280's id"


@pytest.mark.slow
async def test_the_firmware_itself_answers_mpremote_and_reads_the_sensor(tmp_path: Path) -> None:
    firmware = os.environ.get("FIELDPOST_PICO_W_UF2")
    if not firmware:
        pytest.skip("no firmware: set FIELDPOST_PICO_W_UF2 to a RPI_PICO_W-*.uf2 file from micropython.org")
    pytest.importorskip("rp2040py", reason="rp2040py is not installed: pip install rp2040py")
    from host_tools.emulator import rp2040

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"here is the hub\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, family=socket.AF_INET)
    upstream = ("127.0.0.1", server.sockets[0].getsockname()[1])
    stopped, ready = asyncio.Event(), asyncio.Event()
    shape = board_shape(boards.load("pico_w"))
    running = asyncio.create_task(
        rp2040.run(tmp_path, Path(firmware), shape, upstream, stopped, lambda line: ready.set())
    )
    async with asyncio.timeout(600):
        await asyncio.wait([running, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
        port = ["connect", (tmp_path / "serial").resolve()]
        program = (
            "from machine import I2C, Pin; i2c = I2C(0, scl=Pin(5), sda=Pin(4)); "
            "print(i2c.scan(), i2c.readfrom_mem(119, 0xD0, 1))"
        )
        code, said = await run_tool("mpremote", *port, "exec", program)
        assert code == 0 and "[119] b'`'" in said, said
        program = (
            "import network, socket, time; n = network.WLAN(network.STA_IF); n.active(True); "
            "n.connect('RP2040PY-GUEST', 'password')\nwhile not n.isconnected(): time.sleep(0.1)\n"
            "s = socket.socket(); s.connect(socket.getaddrinfo('localhost', 8883)[0][-1]); print(s.recv(99)); "
            "import gc; gc.collect(); print('free', gc.mem_free())"
        )
        code, said = await run_tool("mpremote", *port, "exec", program)
        assert code == 0 and "here is the hub" in said, said
    stopped.set()
    await running
    server.close()
    assert (tmp_path / "flash.bin").stat().st_size == shape.flash_bytes
