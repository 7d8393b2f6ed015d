"""The hub as a process beside another one."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from host_tools.hub import process

_PARENT = """
import asyncio, sys
from pathlib import Path
from host_tools.hub import process
async def main():
    async with process.running(Path(sys.argv[1])) as hub:
        print(hub.pid, flush=True)
        await asyncio.sleep(3600)
asyncio.run(main())
"""


def is_there(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_it_listens_and_ends_with_its_context(tmp_path):
    async def scenario():
        async with process.running(tmp_path / "hub") as hub:
            _, writer = await asyncio.open_connection("127.0.0.1", hub.port)
            writer.close()
            assert hub.rss_mb > 10
            return hub.pid

    assert not is_there(asyncio.run(scenario()))


def test_it_does_not_outlive_a_parent_that_is_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", _PARENT, str(tmp_path / "hub")], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        assert is_there(pid)
        parent.kill()
    deadline = time.monotonic() + 120
    while is_there(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
