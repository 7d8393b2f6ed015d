"""Real boards are found by what USB says of them, and drives by what lies on them, whatever they are called."""

import json
from pathlib import Path

import pytest
from serial.tools.list_ports_common import ListPortInfo

from host_tools.flash import devices


def _port(name: str, vid: int | None, pid: int | None) -> ListPortInfo:
    port = ListPortInfo(name)
    port.vid, port.pid = vid, pid
    return port


@pytest.fixture
def usb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with two boards, a drive, a memory stick and other things."""
    ports = [
        _port("/dev/ttyUSB0", 0x10C4, 0xEA60),
        _port("/dev/ttyACM0", 0x2E8A, 0x0005),
        _port("/dev/ttyACM1", 0x1366, 0x0105),  # somebody's debugger
        _port("/dev/ttyS0", None, None),
    ]
    monkeypatch.setattr(devices.list_ports, "comports", lambda: ports)
    for name, board_id in (("a drive", "RP2350"), ("stick", "SD")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "INFO_UF2.TXT").write_text(f"UF2 Bootloader v1.0\r\nBoard-ID: {board_id}\r\n")
    mounts = [("a\\040drive", "vfat"), ("stick", "vfat"), ("none", "vfat"), ("", "ext4")]
    (tmp_path / "mounts").write_text("".join(f"/dev/sd {tmp_path}/{name} {kind} rw 0 0\n" for name, kind in mounts))
    monkeypatch.setattr(devices, "_MOUNTS", tmp_path / "mounts")
    return tmp_path


def test_boards_are_told_from_other_things(usb: Path) -> None:
    found = {str(one.drive or one.port): (one.family, one.chip) for one in devices.plugged_in()}
    assert found == {
        "/dev/ttyUSB0": ("esp32", None),
        "/dev/ttyACM0": ("rp2", None),
        str(usb / "a drive"): ("rp2", "rp2350"),
    }


def test_the_one_that_fits_is_taken(usb: Path) -> None:
    found = devices.plugged_in()
    assert devices.find("esp32", "esp32", None, None, found).port == "/dev/ttyUSB0"
    # A Pico W cannot be the drive of a Pico 2 W.
    assert devices.find("rp2", "rp2040", None, None, found).port == "/dev/ttyACM0"
    with pytest.raises(devices.UserError, match=r"2 boards could be meant: .*ttyACM0.*; drive .*a drive"):
        devices.find("rp2", "rp2350", None, None, found)


def test_an_emulated_chip_is_given_time(usb: Path) -> None:
    folder = usb / "chip1"
    folder.mkdir()
    port = str(folder / "port")
    Path(port).touch()
    told = {"vid": 0x2E8A, "pid": 0x0005, "serial_number": "chip1", "port": port, "drive": None}
    (folder / "usb.json").write_text(json.dumps(told))
    assert [one.patience for one in devices.plugged_in([folder])] == [1.0] * 4
    (folder / "usb.json").write_text(json.dumps({**told, "patience": 200}))
    (found,) = (one for one in devices.plugged_in([folder]) if one.port == port)
    assert found.patience == 200
