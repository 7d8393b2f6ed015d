"""What the tests of both interpreters share."""


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
