"""As the documentation of umqtt.robust has it: read, publish with QoS 1, which comes back when the broker has it."""

import time

from room import Room, asked, join
from umqtt.robust import MQTTClient

join()
client = MQTTClient(asked["device"], asked["host"], asked["port"], keepalive=60)
client.reconnect()
room = Room()
topic = b"bench/" + asked["device"].encode()
while True:
    time.sleep_ms(room.ms_left())
    reading = room.read()
    if reading is not None:
        client.publish(topic, reading, qos=1)
