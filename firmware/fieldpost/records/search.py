"""A look through the ring for one record that explains others, a few records at a time."""

from fieldpost.limits import RECORD_BYTES_MAX, SEARCH_RECORDS_MAX


class Search:
    """Begins in the sector before the one that holds `number`, or as near to it as flash goes back.

    visit: callable(kind, payload) -> True when it has seen what was wanted, or that it will not come.
    """

    def __init__(self, ring, number, visit):
        self._reader = ring.reader()
        self._reader.seek(ring.search_start(number))
        self._payload = memoryview(bytearray(RECORD_BYTES_MAX))
        self._visit = visit

    def step(self):
        """Look at SEARCH_RECORDS_MAX records; return True at the end, found or not."""
        for _ in range(SEARCH_RECORDS_MAX):
            length = self._reader.next(self._payload)
            if length < 0 or self._visit(self._reader.kind, self._payload[:length]):
                return True
        return False
