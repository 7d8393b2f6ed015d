"""Whether the promise was kept, told from outside: what the hub stored, what the pins did, what was given."""


class PromiseBroken(Exception):
    """One sentence that says what must not have happened."""
