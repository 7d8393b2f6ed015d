"""The bench on the chip of rp2040py: sensor, pins, flash. Skipped without it (`pip install rp2040py`), and says so."""

from pathlib import Path
from typing import Any

import pytest

from host_tools.emulator import BoardShape
from host_tools.emulator.bme280 import Bme280
from host_tools.emulator.i2c import I2cWires
from host_tools.emulator.rp2040.flash_mirror import FlashMirror
from host_tools.emulator.rp2040.pins import ChipPins
from tests.flash.rp2040_bench import ADDRESS, PinMaster, quick_engine  # noqa: F401 - a fixture for all of it


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
