"""Microsoft's SDKs in an environment of their own, and a hub at the ports that they insist on.

Each program in programs/ is a user's program: it knows a connection string and nothing of this project. The SDKs
cannot be told a port, so that every test takes a loopback address of its own and the real ports there.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from host_tools.hub import Hub

ROOT = Path(__file__).parents[2]
_REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_PROGRAMS = Path(__file__).with_name("programs")
MQTT_PORT, AMQP_PORT, HTTPS_PORT = 8883, 5671, 443


@pytest.fixture(scope="session")
def sdk_python() -> Path:
    """The interpreter that has the SDKs, installed on first use."""
    home = ROOT / ".venv" / "microsoft-sdks"
    python = home / "bin" / "python"
    wanted = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()
    mark = home / "made-from"
    with (ROOT / ".venv" / "microsoft-sdks.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != wanted:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
            install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes"]
            # paho-mqtt 1.6, which azure-iot-device asks for, was never published as a wheel.
            binary = ["--only-binary", ":all:", "--no-binary", "paho-mqtt"]
            subprocess.run([*install, *binary, "-r", str(_REQUIREMENTS)], check=True)
            mark.write_text(wanted)
    return python


@pytest.fixture(scope="session")
def https_port() -> int:
    """443, which SDKs insist on for WebSockets. Not everybody may listen there; in CI that is a failure."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if os.geteuid() and lowest > HTTPS_PORT:
        reason = f"port {HTTPS_PORT} is for root: sysctl net.ipv4.ip_unprivileged_port_start={HTTPS_PORT} opens it"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return HTTPS_PORT


@pytest.fixture
def address() -> str:
    """A loopback address that no other test uses at this time."""
    return f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(2, 254)}"


@pytest.fixture
def running_hub(tmp_path, address):
    """Return a context in which a hub runs at that address; other_ports besides 8883."""

    @contextlib.asynccontextmanager
    async def run(*other_ports, **keys):
        hub = Hub(tmp_path / "hub", address, MQTT_PORT, hostname=address, other_ports=other_ports, **keys)
        await hub.start()
        try:
            yield hub
        finally:
            await hub.stop()

    return run


@pytest.fixture
def program(sdk_python):
    """Return a coroutine function that starts a program of programs/ with keys as its environment."""

    @contextlib.asynccontextmanager
    async def start(name, hub, **environment):
        process = await asyncio.create_subprocess_exec(
            str(sdk_python),
            str(_PROGRAMS / f"{name}.py"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "SSL_CERT_FILE": str(hub.ca_file),
                "REQUESTS_CA_BUNDLE": str(hub.ca_file),
                **environment,
            },
            limit=1 << 22,
        )
        try:
            yield Program(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    return start


class Program:
    """A running program, told and heard line by line."""

    def __init__(self, process) -> None:
        self._process = process

    async def line(self, seconds: float = 180) -> str:
        """Return the next line that it prints."""
        async with asyncio.timeout(seconds):
            line = await self._process.stdout.readline()
        assert line, "the program has ended, see its stderr"
        return line.decode().rstrip("\n")

    def tell(self, line: str) -> None:
        """Hand it a line."""
        self._process.stdin.write(line.encode() + b"\n")

    async def ended(self, seconds: float = 180) -> int:
        """Wait for its end and return its exit code."""
        async with asyncio.timeout(seconds):
            return await self._process.wait()


def connection_string(hub: Hub, device_id: str) -> str:
    key = hub.devices.create(device_id).primary_key
    return f"HostName={hub.hostname};DeviceId={device_id};SharedAccessKey={key}"
