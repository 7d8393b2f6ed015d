"""One Raspberry Pi on the bench: emulated hardware, the service in a process of its own, systemd's end of the wires."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from fieldpost import config
from fieldpost.ports.file_region import FileRegion
from fieldpost.ring.layout import divide

from host_tools.audit import Finding, judge, proof, read_tail
from host_tools.emulator.bme280 import Bme280
from host_tools.emulator.pi.hardware import PiHardware
from host_tools.hub import Hub
from host_tools.toolchain import umqtt

ROOT = Path(__file__).parents[2]
ADDRESS = 0x77
DEVICE = "pi-1"
STOP_S = 90  # systemd-system.conf(5), DefaultTimeoutStopSec=


def run_folder() -> Path:
    """Make a folder for sockets, as /run is: an address holds 107 bytes (unix(7)), and paths of pytest are long."""
    return Path(tempfile.mkdtemp(prefix="fieldpost-", dir="/tmp"))


class Systemd:
    """The datagram socket that systemd gives a service; a thread keeps what arrives on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._received: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self) -> None:
        while data := self._socket.recv(4096):
            self._received += data.decode().split("\n")

    def messages(self) -> list[str]:
        """Return every assignment so far, in order."""
        return list(self._received)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)


class Pi:
    """The machine. `settings` is its config.json, to be changed before `start`."""

    def __init__(self, folder: Path, hub: Hub, model: str = "4b", hardware: Path | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.run = run_folder()
        self.hub = hub
        self._hub_port = hub.port
        self.model = model
        self.hardware = PiHardware(hardware or folder / "hardware")
        self.bme280 = Bme280()
        self.hardware.wires.attach(ADDRESS, self.bme280)
        self.hardware.start()
        self.systemd = Systemd(self.run / "notify")
        self.process: subprocess.Popen[bytes] | None = None
        self.ring = folder / "queue"
        self.settings = {
            "device": DEVICE,
            "board": "raspberry_pi",
            "port": "linux",
            "hub": {"host": "localhost", "port": hub.port},
            "sample_interval_ms": 50,
            "batch": {"age_ms": 50},
            "ring": {"kind": "file", "path": str(self.ring), "sectors": 64},
            "i2c": {"id": 1, "scl": 3, "sda": 2},
            "sensors": [{"driver": "bme280", "address": ADDRESS}],
            "pins": {
                "relay": {"gpio": 17, "safe": 0, "commands": ["gpio.set", "gpio.get", "gpio.pulse"]},
                "valve": {"gpio": 27, "safe": 1, "commands": ["gpio.set"]},
                "button": {"gpio": 22, "direction": "input", "commands": ["gpio.get"]},
            },
        }
        key = hub.devices.create(DEVICE).primary_key
        self.identity = {"device_id": DEVICE, "key": key, "ca_der": base64.b64encode(hub.ca_der).decode()}
        self.credentials = folder / "credentials"
        self.credentials.mkdir(exist_ok=True)
        (self.credentials / "identity.json").write_text(json.dumps(self.identity))
        self.log = folder / "log"
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "firmware"), str(umqtt.find_or_download())]),
            "NOTIFY_SOCKET": str(self.systemd.path),
            "WATCHDOG_USEC": "2000000",
            "CREDENTIALS_DIRECTORY": str(self.credentials),
        }
        self.environment.pop("WATCHDOG_PID", None)

    def configuration(self) -> str:
        """Return config.json as it is now."""
        return json.dumps(self.settings)

    def start(self) -> None:
        """Start the service, as systemd would."""
        config = self.folder / "config.json"
        config.write_text(self.configuration())
        program = ["-m", "host_tools.emulator.pi", str(self.hardware.path), self.model, "fieldpost.daemon"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *program, "--config", str(config)],
                env=self.environment,
                stderr=log,
                stdout=log,
                cwd=self.folder,
            )

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM, and wait until it is gone, as long as systemd does. The exit code must be 0."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(STOP_S) == 0, self.said()

    def said(self) -> str:
        """Return what it wrote to stderr."""
        return self.log.read_text()

    def records(self) -> list[dict]:
        """Return every record that the hub has stored, repeats included."""
        return [record for m in self.hub.messages(DEVICE) for record in json.loads(m.body)["records"]]

    def finding(self) -> Finding:
        """Weigh what the hub has stored against what the file says. The service must not run."""
        region = FileRegion(str(self.ring), 0)
        try:
            ring = config.check_config(dict(self.settings, sensors=[{"driver": "bme280"}]))["ring"]
            parts = divide(region, ring["journal_sectors"], ring["urgent_sectors"])[1:]
            tails = [tail for tail in map(read_tail, parts) if tail is not None]
        finally:
            region.close()
        return judge(DEVICE, self.hub.messages(DEVICE), tails)

    def nothing_is_missing(self) -> bool:
        """Return whether every number is delivered, reported lost or still in the file."""
        finding = self.finding()
        print(proof(finding))
        return finding.is_whole and len(finding.accounts) > 0

    async def end_hub(self) -> None:
        """The hub goes down; its port is free."""
        await self.hub.stop()

    async def begin_hub(self) -> None:
        """The hub is back, on the same port, with what it had stored."""
        self.hub = Hub(self.hub.directory, "127.0.0.1", self._hub_port)
        await self.hub.start()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self.hardware.stop()
        self.systemd.close()
        shutil.rmtree(self.run)
