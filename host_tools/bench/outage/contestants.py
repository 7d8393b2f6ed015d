"""What runs on the boards, and how it gets there."""

from __future__ import annotations

import json
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Final

from host_tools.boards import Board
from host_tools.flash import install, mpremote
from host_tools.toolchain import firmware, umqtt

INTERVAL_MS: Final = 200
_PROGRAMS: Final = Path(__file__).parent / "programs"
_SSID: Final = "bench"  # the emulated access point takes any name and password


class Contestant(ABC):
    """name: of the board, and in figures. title: for people."""

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.title = title

    @abstractmethod
    def put_on(self, serial_port: str, spec: Board, port: int, folder: Path) -> None:
        """Install it by mpremote on a board that has power. port: of the broker, where every name leads."""


class Agent(Contestant):
    """fieldpost as ever, at a plain broker without TLS, since the others have none either."""

    def __init__(self) -> None:
        super().__init__("fieldpost", "fieldpost")

    def put_on(self, serial_port: str, spec: Board, port: int, folder: Path) -> None:
        config = spec.device_config(
            device=self.name,
            hub_host="broker.bench",
            hub_port=port,
            sample_interval_ms=INTERVAL_MS,
            wifi=[{"ssid": _SSID}],
        )
        config["hub"].update({"dialect": "plain", "tls": False, "twin": False})
        identity = {"device_id": self.name, "wifi_passwords": {_SSID: "any"}}
        tree = firmware.build(folder / "firmware", _silent)
        install(serial_port, tree, config, identity, _silent)


class Script(Contestant):
    """One of `programs`. files: what else it imports, by their names on the board."""

    def __init__(self, name: str, title: str, program: str, files: dict[str, Path], **settings: Any) -> None:
        super().__init__(name, title)
        self._files = {
            **{f"{module}.py": _PROGRAMS / f"{module}.py" for module in ("room", "kept_file")},
            **files,
            "main.py": _PROGRAMS / f"{program}.py",  # last: a board without it stays idle
        }
        self._settings = settings

    def put_on(self, serial_port: str, spec: Board, port: int, folder: Path) -> None:
        asked = {
            "host": "broker.bench",
            "port": port,
            "device": self.name,
            "interval_ms": INTERVAL_MS,
            "ssid": _SSID,
            "bus": spec.i2c["id"],
            "scl": spec.i2c["scl"],
            "sda": spec.i2c["sda"],
            "address": spec.sensors[0]["address"],
            **self._settings,
        }
        folders = sorted({str(Path(path).parent) for path in self._files} - {"."})
        commands = ["exec", f"import os\nfor name in {folders!r}: os.mkdir(name)"]
        with tempfile.TemporaryDirectory() as made:
            settings = Path(made) / "bench.json"
            settings.write_text(json.dumps(asked), encoding="utf-8")
            for name, path in {"bench.json": settings, **self._files}.items():
                commands += ["+", "fs", "cp", str(path), f":{name}"]
            mpremote.run(serial_port, commands)


def contestants(mqtt_as: Path | None) -> list[Contestant]:
    """Return them, fieldpost first. mqtt_as: its module, which no package index has; None leaves it out.

    UserError if umqtt cannot be had.
    """
    simple = {"umqtt/simple.py": umqtt.find_or_download(_silent) / umqtt.SIMPLE.module}
    robust = {**simple, "umqtt/robust.py": umqtt.find_or_download(_silent, umqtt.ROBUST) / umqtt.ROBUST.module}
    found: list[Contestant] = [
        Agent(),
        Script("robust", f"umqtt.robust {umqtt.ROBUST.version}", "robust", robust),
        Script("robust_file", "umqtt.robust and a file", "robust_and_file", robust),
    ]
    if mqtt_as is not None:
        module = {"mqtt_as/__init__.py": mqtt_as}
        found += [
            Script("mqtt_as", "mqtt_as", "async_sender", module, in_file=False),
            Script("mqtt_as_file", "mqtt_as and a file", "async_sender", module, in_file=True),
        ]
    return found


def _silent(line: str) -> None:
    """Say nothing: the bar says what goes on."""
