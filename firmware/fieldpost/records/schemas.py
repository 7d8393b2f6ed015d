"""The schemas of readings that this firmware knows, and those that it finds in the ring."""

from fieldpost.limits import SCHEMAS_REMEMBERED_MAX, STAMP_BYTES
from fieldpost.records import schema
from fieldpost.records.reading_schema import ReadingSchema, id_of
from fieldpost.records.search import Search


class Schemas:
    """Bounded: what this firmware's sensors use stays, of the others those looked up last."""

    def __init__(self):
        self._own = {}
        self._found = {}  # by id; None: looked for, not there
        self._search = None
        self._wanted = 0

    def add(self, reading_schema):
        """Note a schema of this firmware."""
        self._own[reading_schema.id] = reading_schema

    def of(self, payload):
        """Return the schema of a reading, or None if it is not known."""
        schema_id = id_of(payload)
        return self._own.get(schema_id) or self._found.get(schema_id)

    def search(self, ring, payload, number):
        """Look for the schema of the reading `number`; True when it is settled. Bounded: call again until then."""
        schema_id = id_of(payload)
        if schema_id in self._own or schema_id in self._found:
            return True
        if self._search is None or self._wanted != schema_id:
            self._wanted = schema_id
            self._search = Search(ring, ring.search_start(number), self._visit)
        if not self._search.step():
            return False
        self._search = None
        self._remember(schema_id, self._found.get(schema_id))
        return True

    def _visit(self, kind, payload):
        if kind != schema.SCHEMA:
            return False
        try:
            found = ReadingSchema(str(payload[STAMP_BYTES:], "utf-8"))
        except ValueError:
            return False
        if found.id != self._wanted:
            return False
        self._remember(found.id, found)
        return True

    def _remember(self, schema_id, found):
        if schema_id not in self._found and len(self._found) == SCHEMAS_REMEMBERED_MAX:
            self._found.clear()
        self._found[schema_id] = found
