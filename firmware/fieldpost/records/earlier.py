"""What a boot finds out about the boots before it, once, from what they left in a ring."""

from fieldpost.records import schema
from fieldpost.ring.recovery import confirmed_from, last_confirmed_sector, newest_payload


def last_boot(ring):
    """Return the number of the boot that wrote the newest record, 0 if the ring holds none."""
    payload = newest_payload(ring)
    return 0 if payload is None else schema.boot_of(payload)


def confirmed_ms(ring):
    """Return a time (ms since 1970) that has passed for certain, 0 if the ring tells none.

    It is that of the newest record with a known time that a hub has confirmed: a connection whose certificates were
    good at that time has carried it. What a time server alone has said may be wrong, and is not believed so far.
    """
    last = last_confirmed_sector(ring)
    # An anchor stands in every sector whose boot knew the time, else in the sector before.
    return _confirmed_from(confirmed_from(ring, last, last)) or _confirmed_from(confirmed_from(ring, last - 1, last))


def _confirmed_from(records):
    boot = offset_ms = newest_ms = 0
    for kind, payload in records:
        if kind == schema.ANCHOR:
            boot = schema.boot_of(payload)
            offset_ms = schema.anchor_utc_ms(payload) - schema.uptime_ms_of(payload)
        if boot and schema.boot_of(payload) == boot:
            newest_ms = offset_ms + schema.uptime_ms_of(payload)
    return newest_ms
