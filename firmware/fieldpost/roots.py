"""Root certificates that come over the air, for the day when the hub's chain ends in another one.

    hub.root  der   LEVEL   a root, DER in base64, is kept on trial

    trusted --the hub's certificate is not accepted--> on trial --and not with this one either--> trusted
    on trial --the hub is there--> trusted: the new root now stands beside the others

A new root is used only when the trusted ones fail, and alone, so that a connection proves it. The identity's own roots
never go; of those that came over the air the newest are kept.
"""

import json
from binascii import a2b_base64

from fieldpost.commands.word import LEVEL, Word
from fieldpost.errors import Mismatch
from fieldpost.limits import CA_BYTES_MAX, ROOTS_ADDED_MAX

_NOT_ACCEPTED = "certificate not accepted"  # how links.reasons begins


class Roots:
    """A channel of the session, and a word of the vocabulary.

    own: the identity's roots, base64. store: see ports.stored_text. make_context: callable, list of roots (DER) to a
    TLS context; ValueError for what is none.
    """

    subscriptions = ()

    def __init__(self, own, store, make_context):
        self._own = own
        self._store = store
        self._make_context = make_context
        self._added, self._candidate = self._read()
        self._is_on_trial = False
        self._is_stale = False  # whether the link's context is another one than `context` returns
        self._session = None
        self._use = None
        self.words = (Word("hub.root", LEVEL, _arguments, self._offer, check=self._check),)

    def connect(self, session, use):
        """Hand over the session, and what gives its link another context."""
        self._session = session
        self._use = use

    def context(self):
        """Return the context of the next connection."""
        roots = [self._candidate] if self._is_on_trial else self._own + self._added
        return self._make_context([a2b_base64(root) for root in roots])

    # The session's

    def ready(self, now_ms):
        """The hub is there: a root on trial has proved itself."""
        if self._is_on_trial:
            self._is_on_trial = False
            self._is_stale = True
            self._added = (self._added + [self._candidate])[-ROOTS_ADDED_MAX:]
            self._candidate = None
            self._write()
            # This connection goes on; the link's next one is to trust the others as well. Leading it there closes it,
            # so that waits until it has closed by itself.

    def closed(self):
        """The connection is gone: choose what the next one trusts."""
        is_rejected = self._session.last_error.startswith(_NOT_ACCEPTED)
        was_on_trial = self._is_on_trial
        self._is_on_trial = is_rejected and self._candidate is not None and not was_on_trial
        if self._is_stale or self._is_on_trial != was_on_trial:
            self._is_stale = False
            self._use(self.context())

    def take(self, topic, payload):
        """Nothing arrives here."""
        return False

    def finished(self, what, status, answer):
        """Nothing was asked here."""

    def step(self, now_ms, link):
        """Nothing is sent from here."""

    # The vocabulary's

    def _check(self, context, arguments, now_ms):
        try:
            self._make_context([a2b_base64(arguments["der"])])
        except (ValueError, OSError):
            raise Mismatch("der is no certificate")

    def _offer(self, context, arguments, now_ms):
        der = arguments["der"]
        is_known = der in self._own or der in self._added
        if not is_known and not self._is_on_trial:
            self._candidate = der
            self._write()
        return (("trusted", len(self._own) + len(self._added)), ("on_trial", 0 if self._candidate is None else 1))

    def _write(self):
        self._store.write(json.dumps([self._added, self._candidate]))

    def _read(self):
        try:
            added, candidate = json.loads(self._store.read() or "")
            self._make_context([a2b_base64(root) for root in added + ([candidate] if candidate else [])])
            return added, candidate
        except (ValueError, TypeError, OSError):
            return [], None


def _arguments():
    from fieldpost.shapes import Base64  # a board holds shapes only while it checks something

    return (("der", Base64(64, CA_BYTES_MAX, "the DER of a root certificate")),)
