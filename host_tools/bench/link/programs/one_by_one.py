"""The peer on MicroPython: umqtt.simple 1.3.4 as it comes, each reading a message of its own, each waited for.

    micropython one_by_one.py ARGUMENTS_FILE

The file holds JSON: host, port, device, key, ca (base64 DER), readings (a file, one JSON text a line), seconds. Prints
one JSON object.
"""

import json
import sys
import time
from binascii import a2b_base64

from fieldpost.hubs.azure import AzureDialect
from umqtt.simple import MQTTClient

with open(sys.argv[1]) as file:
    asked = json.load(file)
with open(asked["readings"], "rb") as file:
    readings = [file.readline().strip() for _ in range(200)]
dialect = AzureDialect(asked["host"], asked["device"], asked["key"], lambda: int(time.time()) * 1000)
client = MQTTClient(
    dialect.client_id,
    asked["host"],
    asked["port"],
    dialect.username,
    dialect.password(),
    keepalive=60,
    ssl=True,
    ssl_params={"ca_der": a2b_base64(asked["ca"]), "server_hostname": asked["host"]},
)
client.connect()
start_ms = time.ticks_ms()
elapsed_ms = messages = 0
while elapsed_ms < asked["seconds"] * 1000 and messages < 60_000:  # its packet ids end at 65,535
    client.publish(dialect.event_topic(f"m{messages}"), readings[messages % len(readings)], qos=1)
    messages += 1
    elapsed_ms = time.ticks_diff(time.ticks_ms(), start_ms)
client.disconnect()
print(json.dumps({"readings": messages, "messages": messages, "seconds": elapsed_ms / 1000}))
