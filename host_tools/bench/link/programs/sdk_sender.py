"""The peer on CPython: azure-iot-device as it comes, each reading a message of its own, `window` of them under way.

    sdk_sender.py CONNECTION_FILE READINGS_FILE WINDOW SECONDS

Prints one JSON object.
"""

import asyncio
import itertools
import json
import sys
import time


async def main() -> None:
    """Send for so long."""
    # Here, since the project's own environment has no azure-iot-device.
    from azure.iot.device import Message
    from azure.iot.device.aio import IoTHubDeviceClient

    connection_file, readings_file, window, seconds = sys.argv[1:]
    with open(connection_file) as file:
        client = IoTHubDeviceClient.create_from_connection_string(file.read())
    with open(readings_file) as file:
        readings = itertools.cycle(file.read().splitlines())
    await client.connect()
    start = time.monotonic()
    sent = 0

    async def send() -> None:
        nonlocal sent
        while time.monotonic() - start < float(seconds):
            message = Message(next(readings), content_encoding="utf-8", content_type="application/json")
            await client.send_message(message)
            sent += 1

    await asyncio.gather(*(send() for _ in range(int(window))))
    took_s = time.monotonic() - start
    await client.shutdown()
    print(json.dumps({"readings": sent, "messages": sent, "seconds": took_s}))


if __name__ == "__main__":
    asyncio.run(main())
