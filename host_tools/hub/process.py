"""The hub in a process of its own, for who runs it beside something else: `python -m host_tools.hub`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from host_tools.errors import UserError

_START_S: Final = 120.0
_STOP_S: Final = 30.0


@dataclass(frozen=True)
class HubProcess:
    """port: MQTT over TLS, as everything else, on 127.0.0.1; pid: of the process."""

    port: int
    pid: int

    @property
    def rss_mb(self) -> float:
        """Memory that the process holds now, in 10**6 bytes."""
        return rss_mb(self.pid)


def rss_mb(pid: int) -> float:
    """Return VmRSS of a process (proc(5), in units of 1024) in 10**6 bytes."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    return int(found[1]) * 1024 / 1e6 if found else 0.0


@contextlib.asynccontextmanager
async def running(
    directory: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    hostname: str = "localhost",
    tier: str | None = None,
) -> AsyncIterator[HubProcess]:
    """Run the hub of a folder, on free ports if none is asked for; UserError if it does not start."""
    given = {
        "directory": str(directory),
        "host": host,
        "port": port,
        "other_ports": [0, 0],
        "hostname": hostname,
        "tier": tier,
        "verbose": False,
        "ends_with_parent": True,
    }
    arguments = ("-P", "-m", "host_tools.hub", json.dumps(given))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_START_S):
            line = (await process.stdout.readline()).decode()
        found = re.search(r"mqtts (\d+)", line)
        if found is None:
            raise UserError("the hub did not start: see what it says above")
        yield HubProcess(int(found[1]), process.pid)
    finally:
        await stop(process)


async def stop(process: asyncio.subprocess.Process) -> None:
    """End a process, the hard way if it takes too long."""
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()
