"""Mosquitto on a free port of 127.0.0.1, for as long as a measurement needs it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from host_tools.errors import UserError
from host_tools.hub.process import stop

_START_S: Final = 20.0


class Mosquitto:
    """Made stopped. settings: lines of its configuration (mosquitto.conf(5)) for everything but the listener.

    UserError if it is not installed.
    """

    def __init__(self, folder: Path, settings: Sequence[str]) -> None:
        found = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if found is None:
            raise UserError("this compares with Mosquitto, which is not installed: apt install mosquitto")
        self._program = found
        self.port = _free_port()
        self._settings = folder / "mosquitto.conf"
        user = [f"user {os.environ.get('USER') or 'root'}"] if os.geteuid() == 0 else []
        listener = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "log_type error"]
        self._settings.write_text("\n".join([*listener, *user, *settings, ""]), encoding="utf-8")
        self._process: asyncio.subprocess.Process | None = None

    @property
    def version(self) -> str:
        """What it calls itself, such as "Mosquitto 2.0.11"."""
        said = subprocess.run([self._program, "-h"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"mosquitto version (\S+)", said)
        return f"Mosquitto {found[1]}" if found else "Mosquitto"

    async def start(self) -> None:
        """Return once it listens. UserError if it does not."""
        out = asyncio.subprocess.DEVNULL
        command = (self._program, "-c", str(self._settings))
        self._process = await asyncio.create_subprocess_exec(*command, stdout=out, stderr=out)
        await _listening(self.port, self._process)

    async def stop(self) -> None:
        """End it as a system does when it shuts down (SIGTERM)."""
        if self._process is not None:
            await stop(self._process)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Mosquitto]:
        """Start it, and stop it at the end."""
        try:
            await self.start()
            yield self
        finally:
            await self.stop()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


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
