"""A device without a board, for both interpreters: ring, outbox, session and a link against whatever server.

    micropython device.py ARGUMENTS_FILE

What is asked: link ("umqtt" or "paho"), host, port, ca (base64 DER; None for plain TCP), path (of a WebSocket, or
None), id, dialect ("azure" with `key`, or "plain"), records, keepalive_s, seconds (at most), speed (of the clock that
link and session are given; of a long turn in a busy machine only a part counts), errors (end after so many different
ones; None: end when everything has arrived), clock_s (what is added to the time of day), commands (wait for so many),
live_ms (0, or append a record so often until a command has come), full (so many commands find no room at first), told
(None, or a file to make at the first error). What is found is one JSON object.
"""

import gc
import json
import sys
import time
from binascii import a2b_base64

from fieldpost import compat
from fieldpost.hubs.azure import AzureDialect
from fieldpost.hubs.plain import PlainDialect
from fieldpost.links import tls
from fieldpost.records.json_body import JsonBody
from fieldpost.ring.log import Ring
from fieldpost.uplink.backoff import Backoff
from fieldpost.uplink.lane import Lane
from fieldpost.uplink.outbox import Outbox
from fieldpost.uplink.session import CONNECTING, Session

from host_tools.emulator.nor_flash import NorFlash

RECORDS_PER_BATCH = 4
WAIT_MS = 20
TURN_MS_MAX = 2 * WAIT_MS
TOPICS = {
    "telemetry": "{device_id}/events/{message_id}",
    "commands": "{device_id}/commands",
    "status": "{device_id}/status",
}


class Numbers(JsonBody):
    """Says of each record its number alone."""

    def is_settled(self, number, kind, payload):
        return True

    def record(self, number, kind, payload):
        return b'{"n":%d}' % number


class Sink:
    """Acknowledges every command and remembers it. full: so many are not taken at first."""

    def __init__(self, full):
        self.full = full
        self.commands = []
        self.refused = []
        self.session = None

    def submit(self, command_id, name, arguments, expires_ms, token, proof):
        if self.full:
            self.full -= 1
            return False
        self.commands.append(name)
        self.session.command_done(token)
        return True

    def refuse(self, command_id, reason, token):
        self.refused.append(reason)
        self.session.command_done(token)
        return True

    def has_room(self):
        return True

    def is_idle(self):
        return True


def _link(asked, dialect):
    if asked["link"] == "paho":
        from fieldpost.links.paho import PahoLink as Link
    else:
        from fieldpost.links.umqtt import UmqttLink as Link
    context = tls.client_context((a2b_base64(asked["ca"]),)) if asked["ca"] else None
    return Link(dialect, asked["host"], asked["port"], asked["keepalive_s"], context, path=asked["path"])


def run(asked):
    """Run one device as asked; return what was found."""
    ring = Ring(NorFlash(64 * 4096))
    for _ in range(asked["records"]):
        ring.append(1, b"x" * 15)
    if asked["dialect"] == "azure":
        utc_ms = lambda: (int(time.time()) + asked["clock_s"]) * 1000  # noqa: E731
        dialect = AzureDialect(asked["host"], asked["id"], asked["key"], utc_ms)
    else:
        dialect = PlainDialect(TOPICS, asked["id"], None, None, None)
    link = _link(asked, dialect)
    lane = Lane(ring, Numbers(ring, None, None), 16, RECORDS_PER_BATCH, 4000, 100)
    outbox = Outbox((lane,), dialect)
    sink = Sink(asked["full"])
    session = sink.session = Session(link, outbox, dialect, sink, Backoff(compat.random_below))
    gc.collect()
    errors = []
    live_ms = 0
    turns = connecting_turns = now_ms = elapsed_ms = 0
    last = compat.ticks_ms()
    while elapsed_ms < asked["seconds"] * 1000:
        now = compat.ticks_ms()
        turn_ms = compat.ticks_diff(now, last)
        elapsed_ms += turn_ms
        last = now
        now_ms += min(turn_ms, TURN_MS_MAX) * asked["speed"]
        session.step(now_ms)
        turns += 1
        if session.state == CONNECTING:
            connecting_turns += 1
        if session.last_error and session.last_error not in errors:
            errors.append(session.last_error)
            if asked["told"] and len(errors) == 1:
                with open(asked["told"], "w"):
                    pass
        if asked["live_ms"] and now_ms >= live_ms and not sink.commands:
            live_ms = now_ms + asked["live_ms"]
            ring.append(1, b"x" * 15)
        if asked["errors"] is None:
            if not ring.pending and len(sink.commands) + len(sink.refused) >= asked["commands"]:
                break
        elif len(errors) >= asked["errors"]:
            break
        link.wait(WAIT_MS)
    found = {
        "pending": ring.pending,
        "records": ring.next_number - 1,
        "state": session.state,
        "errors": errors,
        "commands": sink.commands,
        "refused": sink.refused,
        "duplicates": outbox.duplicates_sent,
        "acked": outbox.acked_records,
        "turns": turns,
        "connecting_turns": connecting_turns,
        "elapsed_ms": elapsed_ms,
        "now_ms": now_ms,
    }
    link.close()
    return found


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        print(json.dumps(run(json.load(file))))
