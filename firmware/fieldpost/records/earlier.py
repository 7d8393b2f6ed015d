"""What a boot finds out about the boots before it, once, from what they left in a ring."""

from fieldpost.limits import RECORD_BYTES_MAX
from fieldpost.records import schema


def last_boot(ring):
    """Return the number of the boot that wrote the newest record, 0 if the ring holds none.

    A supply that fluttered may have left nothing whole in the newest sectors: the search goes back until it finds one.
    """
    reader = ring.reader()
    payload = memoryview(bytearray(RECORD_BYTES_MAX))
    start = ring.newest_start or ring.search_start(ring.next_number)
    while True:
        is_found = False
        reader.seek(start)
        while reader.next(payload) >= 0:
            is_found = True
        boot = schema.boot_of(payload) if is_found else 0
        if boot or start <= ring.first_kept:
            return boot
        start = ring.search_start(start - 1)


def confirmed_ms(ring):
    """Return a time (ms since 1970) that has passed for certain, 0 if the ring tells none.

    It is that of the newest record with a known time that a hub has confirmed: a connection whose certificates were
    good at that time has carried it. What a time server alone has said may be wrong, and is not believed so far.
    """
    reader = ring.reader()
    payload = memoryview(bytearray(RECORD_BYTES_MAX))
    reader.seek(ring.search_start(ring.cursor))
    boot = offset_ms = newest_ms = 0
    while True:
        length = reader.next(payload)
        if length < 0 or reader.number > ring.cursor:
            return newest_ms
        if reader.kind == schema.ANCHOR:
            boot = schema.boot_of(payload)
            offset_ms = schema.anchor_utc_ms(payload) - schema.uptime_ms_of(payload)
        if boot and schema.boot_of(payload) == boot:
            newest_ms = offset_ms + schema.uptime_ms_of(payload)
