"""What a boot finds out about the boots before it, once, from what they left in a ring."""

from fieldpost.records import schema
from fieldpost.ring.recovery import newest_payload, sector_starts


def last_boot(ring):
    """Return the number of the boot that wrote the newest record, 0 if the ring holds none."""
    payload = newest_payload(ring)
    return 0 if payload is None else schema.boot_of(payload)


def confirmed_ms(ring):
    """Return a time (ms since 1970) that has passed for certain, 0 if the ring tells none.

    It is that of the newest record with a known time that a hub has confirmed: a connection whose certificates were
    good at that time has carried it. What a time server alone has said may be wrong, and is not believed so far.
    """
    # An anchor stands in every sector whose boot knew the time, else in the sector before.
    for first in sector_starts(ring, ring.cursor):
        newest_ms = _confirmed_from(ring, first)
        if newest_ms:
            return newest_ms
    return 0


def _confirmed_from(ring, number):
    reader = ring.reader()
    reader.seek(number)
    boot = offset_ms = newest_ms = 0
    while reader.next() >= 0 and reader.number <= ring.cursor:
        payload = reader.payload
        record_boot = schema.boot_of(payload)
        if reader.kind == schema.ANCHOR:
            boot = record_boot
            offset_ms = schema.anchor_utc_ms(payload) - schema.uptime_ms_of(payload)
        if boot and record_boot == boot:
            newest_ms = offset_ms + schema.uptime_ms_of(payload)
    return newest_ms
