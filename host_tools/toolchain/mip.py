"""package.json, with which MicroPython's own installer, mip, puts the agent on a board as source files.

    mpremote mip install github:OWNER/fieldpost@v0.1.0

Source: MicroPython, "Package management", on package.json; relative addresses need mpremote 1.25 or newer.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from host_tools.shipped import shipped
from host_tools.toolchain.firmware import DRIVERS, NOT_FOR_BOARDS

_UMQTT_VERSION = "1.6.0"  # the one that MicroPython 1.25 has
_SOURCES_OF = {
    "adafruit_bme280": ("adafruit-circuitpython-bme280", "Adafruit_CircuitPython_BME280"),
    "adafruit_bus_device": ("adafruit-circuitpython-busdevice", "Adafruit_CircuitPython_BusDevice"),
}
_RAW = "https://raw.githubusercontent.com/adafruit"


def package() -> dict[str, Any]:
    """Return what package.json says. Drivers are pinned to the versions that the tests ran with."""
    firmware = shipped("firmware")
    urls = []
    for path in sorted([*firmware.glob("fieldpost/**/*.py"), *firmware.glob("lib/*.py")]):
        name = path.relative_to(firmware).as_posix()
        if not name.startswith(NOT_FOR_BOARDS):
            urls.append([name.removeprefix("lib/"), f"firmware/{name}"])
    for folder, modules in DRIVERS.items():
        distribution, repository = _SOURCES_OF[folder]
        at = f"{_RAW}/{repository}/{version(distribution)}/{folder}"
        urls += [[f"{folder}/{module}", f"{at}/{module}"] for module in modules]
    return {"version": version("fieldpost"), "deps": [["umqtt.simple", _UMQTT_VERSION]], "urls": urls}


def write(path: Path) -> None:
    """Write it to `path`."""
    path.write_text(json.dumps(package(), indent=1) + "\n", encoding="utf-8")
