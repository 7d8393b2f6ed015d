"""mqtt_as as its documentation has it: one task reads, another publishes with QoS 1.

What waits, waits in RAM, or in a file.
"""

import asyncio

from kept_file import KeptFile
from mqtt_as import MQTTClient, config
from room import Room, asked

_WAITING_MAX = 500


class KeptInRam:
    """As KeptFile, without the file: a list that forgets its oldest when it is full."""

    def __init__(self):
        self._waiting = []

    def append(self, line):
        if len(self._waiting) == _WAITING_MAX:
            self._waiting.pop(0)
        self._waiting.append(line)

    def oldest(self):
        return self._waiting[0] if self._waiting else None

    def forget(self, line):
        if self.oldest() is line:
            self._waiting.pop(0)


kept = KeptFile() if asked["in_file"] else KeptInRam()
room = Room()


async def read():
    while True:
        await asyncio.sleep_ms(max(room.ms_left(), 1))
        if not room.ms_left():
            reading = room.read()
            if reading is not None:
                kept.append(reading)


async def send():
    config.update(
        client_id=asked["device"],
        server=asked["host"],
        port=asked["port"],
        ssid=asked["ssid"],
        wifi_pw="any",
        keepalive=20,
        queue_len=1,
    )
    client = MQTTClient(config)
    is_connected = False
    while not is_connected:
        try:
            await client.connect(quick=True)
            is_connected = True
        except OSError:
            await asyncio.sleep_ms(1000)
    while True:
        oldest = kept.oldest()
        if oldest is None:
            await asyncio.sleep_ms(20)
            continue
        await client.publish("bench/" + asked["device"], oldest, qos=1)
        kept.forget(oldest)


async def main():
    await asyncio.gather(read(), send())


asyncio.run(main())
