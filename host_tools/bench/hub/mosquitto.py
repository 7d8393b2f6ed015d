"""Mosquitto with the hub's certificate: it keeps nothing on disk, asks for no credentials and has no subscribers.

As fast as it gets, that is. The hub beside it is what `fieldpost hub run` runs: tokens checked, every message on disk
before it is acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from host_tools.errors import UserError
from host_tools.hub.process import stop

_START_S: Final = 20.0


@dataclass(frozen=True)
class Mosquitto:
    """port: MQTT over TLS on 127.0.0.1; version: what it calls itself."""

    port: int
    version: str


@contextlib.asynccontextmanager
async def running(folder: Path, certificates: Path) -> AsyncIterator[Mosquitto]:
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
    out = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(program, "-c", str(settings), stdout=out, stderr=out)
    try:
        await _listening(port, process)
        yield Mosquitto(port, await _version(program))
    finally:
        await stop(process)


async def _version(program: str) -> str:
    process = await asyncio.create_subprocess_exec(program, "-h", stdout=asyncio.subprocess.PIPE)
    text = (await process.communicate())[0].decode(errors="replace")
    found = re.search(r"mosquitto version (\S+)", text)
    return f"Mosquitto {found[1]}" if found else "Mosquitto"


async def _listening(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(_START_S):
        while True:
            if process.returncode is not None:
                raise UserError("Mosquitto did not start: try `mosquitto -v` to see why")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return
