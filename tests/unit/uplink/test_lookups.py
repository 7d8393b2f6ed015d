"""A message of records from more boots, or schemas, than are remembered at one time leaves all the same.

Goal: a device that restarts after every reading, as a weak supply makes it, drains its backlog. Method: a real ring in
which what explains a record stands farther away than one step looks, drained through the real renderer; before there
was a bound, each find pushed out what the first records of the message had needed, for ever.
"""

from fieldpost.limits import ANCHORS_REMEMBERED_MAX, LOOKUPS_PER_BATCH_MAX, SCHEMAS_REMEMBERED_MAX, SEARCH_RECORDS_MAX
from fieldpost.records import schema
from fieldpost.records.json_body import JsonBody
from fieldpost.records.reading_schema import ReadingSchema
from fieldpost.records.schemas import Schemas
from fieldpost.records.timeline import Timeline
from fieldpost.ring.log import Ring
from fieldpost.uplink.ahead import LiveFirstLane
from fieldpost.uplink.lane import Lane
from fieldpost.uplink.outbox import Outbox
from support import EventDialect, PublishLink, numbers

from host_tools.emulator.nor_flash import NorFlash

STEPS_MAX = 2000
BACKLOG = 4 * ANCHORS_REMEMBERED_MAX


def new_ring():
    return Ring(NorFlash(4 * 4096))


def text(ring, boot, kind=schema.ALARM, what=b'{"what":"x"}'):
    buffer = memoryview(bytearray(64))
    return ring.append(kind, buffer[: schema.pack_text(buffer, boot, 1000, what)])


def lanes_of(ring):
    for lane, more in ((Lane, ()), (LiveFirstLane, (False,)), (LiveFirstLane, (True,))):
        yield lane(ring, JsonBody(ring, Timeline(), Schemas()), 4, 40, 4000, 500, *more)


def drained(lane, ring, is_acknowledged=lambda step: True):
    """Return the records of all messages, by number; AssertionError if they do not come to an end."""
    outbox, link, found = Outbox([lane], EventDialect()), PublishLink(), {}
    for step in range(STEPS_MAX):
        outbox.step(step * 250, link)
        for message in link.take():
            for record in message[1]["records"]:
                assert found.setdefault(record["n"], record) == record
            if is_acknowledged(step):
                outbox.acknowledged(message[2])
        outbox.forget(step * 250)
        if not ring.pending:
            return [found[number] for number in sorted(found)]
        if not is_acknowledged(step):
            outbox.disconnected(step * 250, False)
    raise AssertionError("%d records still wait" % ring.pending)


def ring_of_boots():
    ring = new_ring()
    for _ in range(SEARCH_RECORDS_MAX + 1):
        text(ring, 1)
    for boot in range(2, 2 + BACKLOG):
        text(ring, boot)
    return ring


def test_records_of_more_boots_than_are_remembered_leave():
    for kind in range(3):
        ring = ring_of_boots()
        found = drained(list(lanes_of(ring))[kind], ring)
        assert [record["n"] for record in found] == list(range(1, ring.next_number)), kind
        assert [record["boot"] for record in found][-BACKLOG:] == list(range(2, 2 + BACKLOG))


def test_they_leave_again_after_a_lost_connection():
    for kind in range(3):
        ring = ring_of_boots()
        found = drained(list(lanes_of(ring))[kind], ring, lambda step: step % 60 > 30)
        assert len(found) == ring.next_number - 1, kind


def test_readings_of_more_schemas_than_are_remembered_leave():
    schemas = [ReadingSchema("q%d,u2,0,n" % index) for index in range(SCHEMAS_REMEMBERED_MAX + 3)]
    for kind in range(3):
        ring = new_ring()
        for _ in range(SEARCH_RECORDS_MAX):
            text(ring, 1)
        for one in schemas:
            text(ring, 1, schema.SCHEMA, one.text.encode())
        buffer = memoryview(bytearray(64))
        for count in range(30):
            one = schemas[count % len(schemas)]
            ring.append(schema.READING, buffer[: schema.pack_reading(buffer, 1, 1000, one, (count,))])
        found = drained(list(lanes_of(ring))[kind], ring)
        assert [record["q%d" % (count % len(schemas))] for count, record in enumerate(found[-30:])] == list(range(30))


def test_a_message_waits_for_some_of_them():
    """Not one message for each boot: as many as are allowed, and what is known already."""
    ring = ring_of_boots()
    outbox, link = Outbox([next(lanes_of(ring))], EventDialect()), PublishLink()
    sizes = []
    for step in range(STEPS_MAX):
        outbox.step(step * 250, link)
        for message in link.take():
            sizes.append(len(numbers(message)))
            outbox.acknowledged(message[2])
    assert sum(sizes) == ring.next_number - 1
    assert len(sizes) <= (ring.next_number - 1) // 40 + 1 + BACKLOG // (LOOKUPS_PER_BATCH_MAX - 1) + 1
