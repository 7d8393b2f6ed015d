"""May this command act, now, here? Decides, and touches nothing.

Before it acts: is it fresh (`staleness`), and what does the journal know of it (`VERDICTS`)? Whether it is well formed
and allowed at all, permit.py has told when it arrived.
"""

from fieldpost.commands.journal import ACTED, BEGUN, DONE, NEW
from fieldpost.commands.word import ONCE
from fieldpost.compat import const

ACT = const(1)  # note it as begun and do it
REFUSE = const(2)  # nothing has happened: say why
INTERRUPT = const(3)  # it was begun before and must not act again: say so
ANSWER = const(4)  # it has acted and its answer may be missing: answer without acting
ACKNOWLEDGE = const(5)  # it is done and answered: nothing is left but to tell the hub

# (what the journal knows, may it act now) -> what to do
VERDICTS = {
    (NEW, True): ACT,
    (NEW, False): REFUSE,
    (BEGUN, True): ACT,
    (BEGUN, False): INTERRUPT,
    (ACTED, True): ANSWER,
    (ACTED, False): ANSWER,
    (DONE, True): ACKNOWLEDGE,
    (DONE, False): ACKNOWLEDGE,
}


def staleness(expires_ms, utc_ms):
    """Return why a command that is good until `expires_ms` may not act at `utc_ms`, or None if it may.

    Both in Unix ms. expires_ms None: always good. utc_ms None: the time is not known, and then a command
    with an expiry is refused, for it may be hours late.
    """
    if expires_ms is None:
        return None
    if utc_ms is None:
        return "it has an expiry and this board does not know the time yet"
    if utc_ms >= expires_ms:
        return "expired %d ms ago" % (utc_ms - expires_ms)
    return None


def disorder(journal, pin, sent_ms):
    """Return why a command for `pin` that was sent at `sent_ms` (Unix ms) is behind its time, or None."""
    if pin is None or sent_ms is None:
        return None
    newest_ms = journal.newest_ms(pin)
    return None if newest_ms is None or sent_ms >= newest_ms else "a newer command has acted on pin %s" % pin


def verdict(state, word, reason):
    """Return one of the constants above.

    state: what the journal knows of the id. word: None if the command means nothing; there is a reason then.
    reason: why it may not act, or None.
    """
    may_act = reason is None and not (state == BEGUN and word.repetition == ONCE)
    return VERDICTS[state, may_act]
