"""A device without a board, for both interpreters: ring, outbox, session and link against a real hub.

    micropython link_program.py ARGUMENTS_FILE

The file holds JSON: host, port, key (or certificate and private_key), ca (each base64, DER), records, seconds.
haste: how many times faster its clock runs than ours; ends_refused: whether the first error ends it.
Prints one JSON object.
"""

import gc
import json
import sys
import time
from binascii import a2b_base64

from fieldpost import compat
from fieldpost.hubs.azure import AzureDialect
from fieldpost.links import tls
from fieldpost.links.umqtt import UmqttLink
from fieldpost.records.json_body import JsonBody
from fieldpost.ring.log import Ring
from fieldpost.uplink.backoff import Backoff
from fieldpost.uplink.lane import Lane
from fieldpost.uplink.outbox import Outbox
from fieldpost.uplink.session import Session

from host_tools.emulator.nor_flash import NorFlash


class Numbers(JsonBody):
    """Says of each record its number alone."""

    def is_settled(self, number, kind, payload):
        return True

    def record(self, number, kind, payload):
        return b'{"n":%d}' % number


class Sink:
    """Acknowledges every command and remembers it."""

    def __init__(self):
        self.commands = []
        self.session = None

    def submit(self, command_id, name, arguments, expires_ms, token, proof):
        self.commands.append(name)
        self.session.command_done(token)
        return True

    def refuse(self, command_id, reason, token):
        self.session.command_done(token)
        return True

    def has_room(self):
        return True


with open(sys.argv[1]) as file:
    asked = json.load(file)
ring = Ring(NorFlash(64 * 4096))
for _ in range(asked["records"]):
    ring.append(1, b"x" * 15)
dialect = AzureDialect(asked["host"], "dev1", asked.get("key"), lambda: int(time.time()) * 1000)
proof = [a2b_base64(asked[name]) for name in ("certificate", "private_key") if name in asked]
context = tls.client_context([a2b_base64(asked["ca"])], *proof)
link = UmqttLink(dialect, asked["host"], asked["port"], 30, context)
outbox = Outbox((Lane(ring, Numbers(ring, None, None), 16, 40, 4000, 100),), dialect)
sink = Sink()
session = sink.session = Session(link, outbox, dialect, sink, Backoff(compat.random_below))
gc.collect()
start = compat.ticks_ms()
errors = []
now_ms = 0
haste = asked.get("haste", 1)
while now_ms < asked["seconds"] * 1000 and (ring.pending or not sink.commands):
    if errors and asked.get("ends_refused"):
        break
    now_ms = compat.ticks_diff(compat.ticks_ms(), start) * haste
    session.step(now_ms)
    if session.last_error and session.last_error not in errors:
        errors.append(session.last_error)
    link.wait(20)
link.close()
print(
    json.dumps(
        {
            "pending": ring.pending,
            "state": session.state,
            "errors": errors,
            "commands": sink.commands,
            "duplicates": outbox.duplicates_sent,
            "acked": outbox.acked_records,
        }
    )
)
