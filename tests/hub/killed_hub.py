"""A hub that is told what to do line by line and says what is durable; its end is SIGKILL."""

import asyncio
import json
import sys
from pathlib import Path

from host_tools.errors import UserError
from host_tools.hub import Hub
from host_tools.hub.store import log

# The log is moved into the file again and again, so that kills meet that, too.
log._BYTES_MAX, log._REST_BYTES_MAX = 20_000, 5_000


async def obey(hub, verb, number):
    try:
        if verb == "command":
            await hub.send("dev1", b"%d" % number, {"iothub-ack": "full"}, message_id=f"{number}")
        else:
            await hub.change_twin("dev1", desired={"n": number})
        print(json.dumps([verb, number]), flush=True)
    except UserError as error:
        assert "already wait" in str(error), error


async def main():
    hub = Hub(Path(sys.argv[1]))
    hub.devices.create("dev1")
    await hub.start()
    print(json.dumps(["port", hub.port]), flush=True)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = set()
    while line := await reader.readline():
        verb, number = line.decode().split()
        tasks.add(loop.create_task(obey(hub, verb, int(number))))


asyncio.run(main())
