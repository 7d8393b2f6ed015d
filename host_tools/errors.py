"""The one error that the host side raises for what its user can put right."""


class UserError(Exception):
    """Something the user can act on: one sentence that says what is wrong and what to do.

    Nothing has been changed when it is raised, or the sentence says what has. The command line prints it on
    stderr, without a traceback, and exits with 2.
    """
