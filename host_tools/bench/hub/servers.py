"""The two servers, each in a process of its own, with the same certificate.

Mosquitto keeps nothing on disk, asks for no credentials and has no subscribers: as fast as it gets. The hub is
`fieldpost hub run` as everybody starts it: tokens checked, every message on disk before it is acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from host_tools.errors import UserError

_START_S: Final = 20.0
_STOP_S: Final = 10.0
_FIELDPOST: Final = "from host_tools.cli import main; main()"


@dataclass(frozen=True)
class Server:
    """port: MQTT over TLS on 127.0.0.1; pid: of its process; version: what it calls itself."""

    port: int
    pid: int
    version: str

    @property
    def rss_mb(self) -> float:
        """Memory that the process holds now, in 10**6 bytes (VmRSS of /proc, which is in 1024)."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) * 1024 / 1e6 if found else 0.0


@contextlib.asynccontextmanager
async def hub(folder: Path) -> AsyncIterator[Server]:
    """Run the hub in a folder."""
    arguments = ("hub", "run", "--data", str(folder), "--mqtt-port", "0", "--https-port", "0", "--amqp-port", "0")
    async with _running(sys.executable, "-c", _FIELDPOST, *arguments, reads=True) as process:
        line = await _line(process)
        found = re.search(r"mqtts (\d+)", line)
        if found is None:
            raise UserError(f"the hub did not start: {line}")
        yield Server(int(found[1]), process.pid, "fieldpost hub")


@contextlib.asynccontextmanager
async def mosquitto(folder: Path, certificates: Path) -> AsyncIterator[Server]:
    """Run Mosquitto with the certificate of a hub's folder."""
    program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        raise UserError("this compares with Mosquitto, which is not installed: apt install mosquitto")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = folder / "mosquitto.conf"
    user = f"user {os.environ.get('USER') or 'root'}\n" if os.geteuid() == 0 else ""
    settings.write_text(
        f"listener {port} 127.0.0.1\n{user}allow_anonymous true\npersistence false\nlog_type error\n"
        f"cafile {certificates / 'ca.pem'}\ncertfile {certificates / 'server.pem'}\n"
        f"keyfile {certificates / 'server.key'}\n"
    )
    async with _running(program, "-c", str(settings)) as process:
        await _listening(port, process)
        yield Server(port, process.pid, await _version(program))


async def _version(program: str) -> str:
    process = await asyncio.create_subprocess_exec(program, "-h", stdout=asyncio.subprocess.PIPE)
    text = (await process.communicate())[0].decode(errors="replace")
    found = re.search(r"mosquitto version (\S+)", text)
    return f"Mosquitto {found[1]}" if found else "Mosquitto"


@contextlib.asynccontextmanager
async def _running(*command: str, reads: bool = False) -> AsyncIterator[asyncio.subprocess.Process]:
    out = asyncio.subprocess.PIPE if reads else asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=out)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(_START_S):
        return (await process.stdout.readline()).decode()


async def _listening(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(_START_S):
        while True:
            if process.returncode is not None:
                raise UserError("Mosquitto did not start: see what it says above")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return
