"""From what stands in one ring to JSON: looks up, in that ring, what a record needs to be understood."""

from fieldpost.records import render, schema


class Renderer:
    """Renders the records of `ring`. timeline: the clocks of the boots that wrote into it."""

    def __init__(self, ring, timeline, schemas):
        self._ring = ring
        self._timeline = timeline
        self._schemas = schemas

    def text(self, number, kind, payload):
        """Return record `number` as JSON text, or None while something is still being looked for: ask again."""
        if not self._timeline.search(self._ring, schema.boot_of(payload), number):
            return None
        if kind == schema.READING and not self._schemas.search(self._ring, payload, number):
            return None
        return render.json_text(number, kind, payload, self._timeline, self._schemas)
