"""What the tests of both interpreters share."""

from fieldpost.records.json_body import JsonBody


class raises:
    """A context that demands an exception of `expected`; `message` is its text afterwards."""

    def __init__(self, expected):
        self._expected = expected
        self.message = None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        assert kind is not None, "nothing was raised, expected %s" % self._expected.__name__
        if not issubclass(kind, self._expected):
            return False
        self.message = str(value)
        return True


def tell_time(clock, utc_ms):
    """Let two time servers say that it is `utc_ms`, so that it is believed."""
    clock.learn(utc_ms)
    assert clock.learn(utc_ms)


class NumbersBody(JsonBody):
    """Says of each record its number alone; `settled_through` is the last that can be rendered, None for any.

    form: of a record, with a place for its number.
    """

    settled_through = None
    form = '{"n":%d}'

    def __init__(self, ring):
        super().__init__(ring, None, None)

    def is_settled(self, number, kind, payload):
        return self.settled_through is None or number <= self.settled_through

    def record(self, number, kind, payload):
        return (self.form % number).encode()
