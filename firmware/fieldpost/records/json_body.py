"""A message body as JSON, the form that a hub can route by.

    {"q":"1a2b3c4d","records":[{...},{...}],"lost":[[100,119]]}

q is the ring's id: together with a record's number it names that record for ever. "lost" lists the numbers
(first, last) that are in neither this message nor any other: overwritten before they could leave, or
damaged. It stands only where there are some.
"""

from fieldpost.records import render
from fieldpost.records.renderer import Renderer


class JsonBody(Renderer):
    """RFC 8259."""

    properties = "%24.ct=application%2Fjson&%24.ce=utf-8"
    separator = b","
    range_bytes = 34

    def begin(self):
        """Return the bytes before the first record."""
        return b'{"q":"%08x","records":[' % self._ring.ring_id

    def record(self, number, kind, payload):
        """Return a record as one JSON object."""
        return render.json_text(number, kind, payload, self._timeline, self._schemas)

    def end(self, lost):
        """Return the bytes after the last record."""
        if not lost:
            return b"]}"
        ranges = ",".join(["[%d,%d]" % pair for pair in lost])
        return ('],"lost":[%s]}' % ranges).encode()
