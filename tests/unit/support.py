"""What the tests of both interpreters share."""

import json

from fieldpost.limits import BATCH_BYTES_MAX, RECORD_BYTES_MAX
from fieldpost.records.json_body import JsonBody
from fieldpost.ring.log import Ring

from host_tools.emulator.nor_flash import NorFlash, PowerCut

EIO = 5


class raises:
    """A context that demands an exception of `expected`; `message` is its text afterwards."""

    def __init__(self, expected):
        self._expected = expected
        self.message = None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        assert kind is not None, "nothing was raised, expected %s" % self._expected.__name__
        if not issubclass(kind, self._expected):
            return False
        self.message = str(value)
        return True


def tell_time(clock, utc_ms):
    """Let two time servers say that it is `utc_ms`, so that it is believed."""
    clock.learn(utc_ms)
    assert clock.learn(utc_ms)


class NumbersBody(JsonBody):
    """Says of each record its number alone; `settled_through` is the last that can be rendered, None for any.

    form: of a record, with a place for its number.
    """

    settled_through = None
    form = '{"n":%d}'

    def __init__(self, ring):
        super().__init__(ring, None, None)

    def is_settled(self, number, kind, payload):
        return self.settled_through is None or number <= self.settled_through

    def record(self, number, kind, payload):
        return (self.form % number).encode()


class EventDialect:
    """A dialect whose topics are message ids."""

    def event_topic(self, message_id):
        return message_id


class LinkWithRoom:
    """Where messages are packed that a link's `publish` takes at once."""

    _body = memoryview(bytearray(BATCH_BYTES_MAX))

    def body(self):
        return self._body

    def publish_body(self, topic, payload, packet_id, dup):
        return self.publish(topic, payload, packet_id, dup)


class PublishLink(LinkWithRoom):
    """Keeps what was published: (topic, message, packet_id, dup) each. room: how many more it takes."""

    def __init__(self):
        self.published = []
        self.room = 1000

    def publish(self, topic, payload, packet_id, dup):
        if not self.room:
            return False
        self.room -= 1
        self.published.append((topic, json.loads(bytes(payload)), packet_id, dup))
        return True

    def take(self):
        published, self.published = self.published, []
        return published


def numbers(published):
    """Return the record numbers in one message of a PublishLink."""
    return [record["n"] for record in published[1]["records"]]


def checked_numbers(ring):
    """Return the numbers of all records of a ring, each of which begins with its own number in 20 characters."""
    found = records_of(ring)
    for number, payload in found:
        assert payload[:20] == b"%20d" % number
    return [number for number, _ in found]


def ring_of(records, sectors=4):
    """Return a ring in small sectors that holds so many records of 20 bytes."""
    ring = Ring(NorFlash(sectors * 1024, sector_bytes=1024))
    for _ in range(records):
        ring.append(1, b"x" * 20)
    return ring


class Idle:
    """A network that is down, a session that never connects, commands of which none come, schemas that nobody asks."""

    is_up = False
    state = "down"

    def step(self, now_ms):
        pass

    def forced_outputs(self):
        return ()

    def link(self, now_ms, is_up):
        pass

    def wait_ms(self, now_ms):
        return None

    def add(self, reading_schema):
        pass


class LfsDevice:
    """A block device for littlefs (extended protocol) over a part that can be cut.

    A cut is an error code to littlefs, so that it ends in order and no file of that mount is left to the collector.
    """

    def __init__(self, flash):
        self.flash = flash

    def readblocks(self, block, buffer, offset=0):
        return self._try(self.flash.read, block * 4096 + offset, buffer)

    def writeblocks(self, block, data, offset=0):
        for start in range(0, len(data), 256):
            page = memoryview(data)[start : start + 256]
            code = self._try(self.flash.program, block * 4096 + offset + start, page)
            if code:
                return code

    def ioctl(self, request, argument):
        if request == 6:
            return self._try(self.flash.erase, argument) or 0
        return {4: self.flash.sector_count, 5: 4096}.get(request, 0)

    def _try(self, operation, *arguments):
        try:
            operation(*arguments)
        except PowerCut:
            return -EIO


def records_of(ring):
    """Return (number, payload) of every record that a ring keeps and nobody has forgotten."""
    reader = ring.reader()
    buffer = memoryview(bytearray(RECORD_BYTES_MAX))
    found = []
    while True:
        length = reader.next(buffer)
        if length < 0:
            return found
        found.append((reader.number, bytes(buffer[:length])))
