"""Which boards are plugged in: serial ports by their USB ids, BOOTSEL drives by what lies on them.

An emulated board says in a file, usb.json beside its port, what USB would tell of a real one.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports

from host_tools.errors import UserError
from host_tools.flash import bootsel, mpremote

_USB_FILE = "usb.json"
_MOUNTS = Path("/proc/self/mounts")
# Who makes what: bridges that sit on ESP32 boards, chips with USB of their own, and MicroPython's ports.
_ESP_USB = {
    (0x10C4, 0xEA60): "CP210x",
    (0x1A86, 0x7523): "CH340",
    (0x1A86, 0x55D4): "CH9102",
    (0x0403, 0x6001): "FT232",
    (0x0403, 0x6010): "FT2232",
    (0x0403, 0x6015): "FT231X",
    (0x303A, 0x1001): "USB-Serial-JTAG",
    (0x303A, 0x4001): "MicroPython",
}
_RP2_USB = {(0x2E8A, 0x0005): "MicroPython"}


@dataclass(frozen=True)
class Device:
    """One thing on USB: a serial port or a BOOTSEL drive. family: esp32 or rp2. chip: known of a drive only.

    patience: how many times longer than for a board one waits for it, as it says itself: an emulated chip is slow.
    """

    family: str
    what: str
    port: str | None = None
    drive: Path | None = None
    chip: str | None = None
    serial_number: str | None = None
    patience: float = 1.0

    def __str__(self) -> str:
        place = self.port if self.drive is None else f"drive {self.drive}"
        return f"{place} ({self.what})"


def plugged_in(emulated: Iterable[Path] = ()) -> list[Device]:
    """Return every board that can be seen. emulated: folders of emulated boards."""
    found = []
    for port in list_ports.comports():
        ids = (port.vid, port.pid)
        for family, table in (("esp32", _ESP_USB), ("rp2", _RP2_USB)):
            if ids in table:
                found.append(Device(family, table[ids], port.device, serial_number=port.serial_number))
    found += [drive for mount in _mounts() if (drive := _drive(mount)) is not None]
    for folder in emulated:
        found += _emulated(folder)
    return found


def find(family: str, chip: str, port: str | None, drive: Path | None, devices: Iterable[Device]) -> Device:
    """Return the one board meant: `port` or `drive` if given, else the only one of its kind among `devices`.

    UserError if there is none, or more than one, or `port` may not be used.
    """
    if drive is not None:
        found = _drive(drive)
        if found is None:
            raise UserError(
                f"{drive} is no BOOTSEL drive (it has no INFO_UF2.TXT): hold BOOTSEL while you plug the board in, "
                "and give the folder where RPI-RP2 appears"
            )
        if found.chip != chip:
            raise UserError(f"the board on {drive} has an {found.chip}, not an {chip}: choose the board that fits")
        return found
    if port is not None:
        mpremote.check_port(port)
        patience = max((one.patience for one in devices if one.port == port), default=1.0)
        return Device(family, "given", port, patience=patience)
    fitting = [one for one in devices if one.family == family and one.chip in (None, chip)]
    if not fitting:
        raise UserError(_nothing_found(family))
    if len(fitting) > 1:
        listed = "; ".join(str(one) for one in fitting)
        raise UserError(f"{len(fitting)} boards could be meant: {listed}. Name one with --port or --drive")
    return fitting[0]


def _nothing_found(family: str) -> str:
    if family == "rp2":
        return (
            "no board found: hold BOOTSEL while you plug it in, with a cable that carries data; "
            "or give its --port or --drive"
        )
    return "no board found: plug it in with a cable that carries data, or give its --port"


def _mounts() -> list[Path]:
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    rows = [line.split(" ") for line in lines]
    # Spaces stand as \040 there (fstab(5)).
    return [Path(row[1].replace("\\040", " ")) for row in rows if len(row) > 2 and row[2] in ("vfat", "msdos")]


def _drive(folder: Path) -> Device | None:
    chip = bootsel.chip_of(folder)
    return None if chip is None else Device("rp2", f"BOOTSEL of an {chip}", None, folder, chip)


def _emulated(folder: Path) -> list[Device]:
    try:
        told = json.loads((folder / _USB_FILE).read_text(encoding="utf-8"))
        ids, number, port, drive = (told["vid"], told["pid"]), told["serial_number"], told["port"], told["drive"]
        patience = float(told.get("patience", 1.0))
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if drive is not None:
        found = _drive(Path(drive))
        return [] if found is None else [found]
    if port is None or not Path(port).exists():
        return []
    family = "rp2" if ids in _RP2_USB else "esp32"
    return [Device(family, f"emulated, {folder.name}", port, serial_number=number, patience=patience)]
