"""What surrounds the emulated RP2040, without the engine: the sensor's bus and pins, the network's answers."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from host_tools.emulator.bme280 import Bme280
from host_tools.emulator.i2c import I2cWires
from host_tools.emulator.rp2040.i2c_bus import I2cBus
from host_tools.emulator.rp2040.i2c_pins import I2cPins
from host_tools.emulator.rp2040.network import DNS_PORT, NTP_PORT, answer
from tests.flash.bare_bench import run_fieldpost
from tests.flash.rp2040_bench import ADDRESS, GATEWAY, PinMaster


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
