"""A look through the ring for one record that explains others, a few records at a time."""

from fieldpost.limits import SEARCH_RECORDS_MAX


class Search:
    """Begins at the record `start`, or as near to it as flash goes back.

    visit: callable(kind, payload) -> True when it has seen what was wanted, or that it will not come.
    """

    def __init__(self, ring, start, visit):
        self._reader = ring.reader()
        self._reader.seek(start)
        self._visit = visit

    def step(self):
        """Look at SEARCH_RECORDS_MAX records; return True at the end, found or not."""
        reader = self._reader
        for _ in range(SEARCH_RECORDS_MAX):  # noqa: SIM110 - a generator in each step would be garbage
            if reader.next() < 0 or self._visit(reader.kind, reader.payload):
                return True
        return False
