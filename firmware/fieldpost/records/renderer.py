"""From what stands in one ring to message bodies: looks up, in that ring, what a record needs to be understood."""

from fieldpost.records import schema


class Renderer:
    """Renders the records of `ring`; the form of the body is a subclass's: JsonBody, CborBody, SenmlBody.

    timeline: the clocks of the boots that wrote into it. A form has

        begin()                          the body's first bytes
        record(number, kind, payload)    those of the next record, after `separator` unless it is the first
        end(lost)                        its last ones; lost: list of (first, last), of range_bytes at most each

    properties: the content type and encoding, as the hub's topics have them.
    """

    separator = b""

    def __init__(self, ring, timeline, schemas):
        self._ring = ring
        self._timeline = timeline
        self._schemas = schemas

    def is_settled(self, number, kind, payload):
        """Return whether record `number` can be rendered; False while something is looked for in flash: ask again."""
        if not self._timeline.search(self._ring, schema.boot_of(payload), number):
            return False
        return kind != schema.READING or self._schemas.search(self._ring, payload, number)

    def _schema_of(self, kind, payload):
        """Return the schema of a reading that can be taken apart, else None."""
        if kind != schema.READING:
            return None
        found = self._schemas.of(payload)
        return found if found is not None and len(payload) == found.reading_bytes else None
