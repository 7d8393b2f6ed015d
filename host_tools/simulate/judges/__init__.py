"""Whether the promise was kept, told from outside: what the hub stored, what the pins did, what was given."""


class PromiseBroken(BaseException):
    """One sentence that says what must not have happened.

    No Exception: it is raised out of pins and rings, and the core, which goes on after what a word raises, must not
    be able to hush it up.
    """
