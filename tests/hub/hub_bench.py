"""What the tests of the hub share: a hub that runs, and the topics of its device."""

import asyncio
import time
from contextlib import asynccontextmanager

from host_tools.hub import Hub

EVENTS = "devices/dev1/messages/events/"
COMMANDS = "devices/dev1/messages/devicebound/"


@asynccontextmanager
async def running(directory, **keys):
    hub = Hub(directory, **keys)
    await hub.start()
    try:
        yield hub
    finally:
        await hub.stop()


async def until(condition, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.01)
