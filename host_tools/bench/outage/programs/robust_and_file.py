"""umqtt.robust, with every reading in a file on littlefs before it is sent."""

import time

from kept_file import KeptFile
from room import Room, asked, join
from umqtt.robust import MQTTClient

kept = KeptFile()
room = Room()
join()
client = MQTTClient(asked["device"], asked["host"], asked["port"], keepalive=60)
client.reconnect()
topic = b"bench/" + asked["device"].encode()
while True:
    if not room.ms_left():
        reading = room.read()
        if reading is not None:
            kept.append(reading)
    oldest = kept.oldest()
    if oldest is None:
        time.sleep_ms(max(room.ms_left(), 1))
        continue
    client.publish(topic, oldest, qos=1)
    kept.forget(oldest)
