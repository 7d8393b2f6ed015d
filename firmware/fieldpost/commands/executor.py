"""Commands, one at a time, in the order in which they came: each has one effect and one answer.

    submit -> queue -> judge -> check -> journal BEGUN -> act -> [ACTED] -> answer -> DONE -> acknowledge

`answer` stores a record before it returns; ACTED is noted for commands that must not be repeated. A command
that was not acknowledged is delivered again (IoT Hub: at least once), and what happens then depends on where
the power went:

    power cut                     a repeat finds   LEVEL (gpio.set)            ONCE (gpio.pulse)
    before BEGUN, or inside it    nothing          acts: the first time        acts: the first time
    after BEGUN, before the act   BEGUN            acts                        interrupted, never acted
    during the act                BEGUN            acts again: same level      interrupted, acted in part
    after the act, before ACTED   BEGUN            acts again: same level      interrupted, acted
    after ACTED                   ACTED            (makes no such note)        its status answered, no act
    after the answer              BEGUN or ACTED   acts and answers again      the same status answered again
    after DONE                    DONE             acknowledged, no more       acknowledged, no more

A restart makes every output safe first, so a pulse that was cut off has ended. Its answer "interrupted" says
that it may have happened wholly, in part or not at all. A LEVEL command that has expired between the cut and
the repeat is answered "interrupted" too: by then it must not move a pin, and what it did before the cut is
undone by the safe level. Answers may come twice, with the same id; only that last case can make them differ
("done", then "interrupted").

Without a message id nothing can be recognised as a repeat: ONCE commands are refused, LEVEL commands act on
each delivery and leave no note. A hash of the body is no substitute, for two equal pulses may both be meant.

A message that is no command is refused with a reason, answered and acknowledged in its turn, so that it
neither clogs the hub's queue nor overtakes (MQTT 3.1.1 section 4.6: acknowledgements leave in the order of
delivery).
"""

from fieldpost.commands import guard
from fieldpost.commands.command import Command
from fieldpost.commands.journal import (
    BEGUN,
    NEW,
    STATUS_DONE,
    STATUS_FAILED,
    STATUS_INTERRUPTED,
    STATUS_REFUSED,
)
from fieldpost.commands.word import ONCE
from fieldpost.errors import Mismatch
from fieldpost.limits import COMMANDS_QUEUED_MAX, COMMANDS_WANTED_MAX


class Commands:
    """vocabulary, context, journal, policy: see those modules. answer(text): stores an answer (bytes) durably.

    utc_ms(): Unix time in ms, or None while it is not known. `done_callback(token, status, answer)`, set by whoever
    submits, is called once for each command that is finished, with the token of its newest delivery; status and
    answer (bytes) are None if it was answered before.

    done, refused, interrupted, failed: commands by the status of their answer. repeated: deliveries of a
    command that was known already. journal_faults: notes that the flash did not take.
    """

    def __init__(self, vocabulary, context, journal, answer, utc_ms, policy=None):
        self.done_callback = None
        self.done = 0
        self.refused = 0
        self.interrupted = 0
        self.failed = 0
        self.repeated = 0
        self.journal_faults = 0
        self._vocabulary = vocabulary
        self._context = context
        self._outputs = context.outputs
        self._journal = journal
        self._answer = answer
        self._utc_ms = utc_ms
        self._policy = policy
        self._link_up_ms = 0  # since the boot, or when the link was last up; None once the outputs were made safe
        self._queue = []  # the first is the one under way
        self._running = None
        self._turned_away = {}

    def knows(self, name):
        """Return whether there is a command called `name`."""
        try:
            self._vocabulary.find(name)
        except Mismatch:
            return False
        return True

    def objection(self, name, arguments):
        """Return why such a command may never act, or None if it may at the right moment."""
        try:
            self._vocabulary.permitted(name, arguments, "any")
        except Mismatch as mismatch:
            return str(mismatch)
        return None

    def submit(self, command_id, name, arguments, expires_ms, token, proof=None, via="message"):
        """Queue a command and return True; what is wrong with it is answered in its turn.

        command_id: "" if there is none. arguments: dict as parsed. expires_ms: Unix time in ms, or None.
        proof: see that module. via: the way in which it came, see answer.
        A command that is queued or under way already only gets the new token. Returns False if
        COMMANDS_QUEUED_MAX commands wait, or there is no memory to check it: it is not taken and must not be
        acknowledged, the hub keeps it.
        """
        word = checked = reason = None
        try:
            word, checked = self._vocabulary.permitted(name, arguments, command_id)
        except Mismatch as mismatch:
            reason = str(mismatch)
        except MemoryError:
            return False
        correlation_id = "" if proof is None else proof.correlation_id
        return self._enqueue(
            Command(command_id, name, word, checked, expires_ms, reason, token, proof, via, correlation_id)
        )

    def refuse(self, command_id, reason, token, via="message", correlation_id=""):
        """Queue the refusal of what is no command. Returns what `submit` returns."""
        return self._enqueue(Command(command_id, "", None, None, None, reason, token, None, via, correlation_id))

    def turn_away(self, via):
        """Count a command that finds no room and does not come again; a record tells how many, once there is time."""
        self._turned_away[via] = self._turned_away.get(via, 0) + 1

    def link(self, now_ms, is_up):
        """Take note of the link; make the outputs safe once it has been away for the policy's safe_after_s."""
        limit_s = self._policy.safe_after_s if self._policy is not None else None
        if is_up:
            self._link_up_ms = now_ms
        elif limit_s and self._link_up_ms is not None and now_ms - self._link_up_ms >= limit_s * 1000:
            self._link_up_ms = None
            self._outputs.make_safe(now_ms)

    def forced_outputs(self):
        """Return the names of outputs that were made safe because they had been away from it for too long, once."""
        forced = self._outputs.forced
        if forced:
            self._outputs.forced = []
        return forced

    def has_room(self):
        """Return whether more may be read from the link. Always while a long command runs: others share the link."""
        return self._running is not None or len(self._queue) < COMMANDS_WANTED_MAX

    def is_idle(self):
        """Return whether no command waits or runs."""
        return not self._queue

    def step(self, now_ms):
        """End the pulses that are due, then begin, continue or finish one command."""
        self._outputs.step(now_ms)
        if self._running is not None:
            self._go_on(self._queue[0], now_ms)
        elif self._queue:
            self._take_up(self._queue[0], now_ms)
        elif self._turned_away:
            via, count = self._turned_away.popitem()
            reason = "too many commands waited: %d found no room" % count
            self._answer(self._vocabulary.encoded("", STATUS_REFUSED, "", (("reason", reason),), via))
        else:
            self._vocabulary.put_away()

    def wait_ms(self, now_ms):
        """Return in how many ms `step` has something to do, or None if only a new command changes that."""
        if self._queue and self._running is None:
            return 0
        return self._outputs.wait_ms(now_ms)

    def _enqueue(self, command):
        self._vocabulary.is_open = True
        if command.key is not None:
            for queued in self._queue:
                if queued.key == command.key:
                    queued.token = command.token
                    self.repeated += 1
                    return True
        if len(self._queue) == COMMANDS_QUEUED_MAX:
            return False
        self._queue.append(command)
        return True

    def _take_up(self, command, now_ms):
        state = NEW if command.key is None else self._journal.state(command.key)
        if state != NEW:
            self.repeated += 1
        utc_ms = self._utc_ms()
        reason = command.reason or guard.staleness(command.expires_ms, utc_ms)
        if reason is None:
            reason = guard.disorder(self._journal, command.pin, command.sent_ms)
        if reason is None and state == NEW and self._policy is not None:
            reason = self._policy.refusal(command, now_ms, utc_ms)
        verdict = guard.verdict(state, command.word, reason)
        if verdict == guard.ACT:
            self._act(command, state, now_ms)
        elif verdict == guard.REFUSE:
            self._refuse(command, reason)
        elif verdict == guard.INTERRUPT:
            why = reason or "a restart cut it off; it may have acted in part and is not repeated"
            self._finish(command, STATUS_INTERRUPTED, (("reason", why),))
        elif verdict == guard.ANSWER:
            status = self._journal.status(command.key)
            what = "was refused" if status == STATUS_REFUSED else "acted"
            self._finish(command, status, (("reason", "it %s before a restart; more is not known" % what),))
        else:
            self._leave(command)

    def _act(self, command, state, now_ms):
        word = command.word
        if word.check is not None:
            try:
                word.check(self._context, command.arguments, now_ms)
            except Mismatch as mismatch:
                if state == BEGUN:
                    self._finish(command, STATUS_INTERRUPTED, (("reason", str(mismatch)),))
                else:
                    self._refuse(command, str(mismatch))
                return
        is_noted = command.key is None or state == BEGUN
        if not is_noted and not self._noted(self._journal.begun, command.key, command.pin, command.sent_ms):
            self._finish(command, STATUS_FAILED, (("reason", "the journal takes no notes: nothing was done"),))
            return
        try:
            result = word.act(self._context, command.arguments, now_ms)
        except Exception as error:  # words of the user's own may raise anything, and the agent goes on
            self._acted(command, STATUS_FAILED, (("reason", _failure(error)),))
            return
        if hasattr(result, "step"):
            self._running = result
        else:
            self._acted(command, STATUS_DONE, result)

    def _go_on(self, command, now_ms):
        try:
            ended = self._running.step(now_ms)
        except Exception as error:
            ended = STATUS_FAILED, (("reason", _failure(error)),)
        if ended is not None:
            self._running = None
            self._acted(command, *ended)

    def _refuse(self, command, reason):
        # What another moment would not refuse is noted first: it must not act after it was answered as refused.
        if command.key is not None and command.reason is None:
            self._noted(self._journal.acted, command.key, STATUS_REFUSED)
        self._finish(command, STATUS_REFUSED, (("reason", reason),))

    def _acted(self, command, status, result):
        if command.word.repetition == ONCE:
            self._noted(self._journal.acted, command.key, status)
        self._finish(command, status, result)

    def _finish(self, command, status, result):
        """Store the answer, note that it is stored, and let the hub forget the command."""
        answer = self._vocabulary.encoded(command.id, status, command.name, result, command.via, command.correlation_id)
        self._answer(answer)
        if command.key is not None:
            self._noted(self._journal.done, command.key, status)
        self._count(status)
        self._leave(command, status, answer)

    def _leave(self, command, status=None, answer=None):
        assert self._queue[0] is command
        self._queue.pop(0)
        self.done_callback(command.token, status, answer)

    def _noted(self, note, *what):
        """Write to the journal; return whether the flash took it. Worn flash must not stop the answers."""
        try:
            note(*what)
        except OSError:
            self.journal_faults += 1
            return False
        return True

    def _count(self, status):
        if status == STATUS_DONE:
            self.done += 1
        elif status == STATUS_REFUSED:
            self.refused += 1
        elif status == STATUS_INTERRUPTED:
            self.interrupted += 1
        else:
            self.failed += 1


def _failure(error):
    """Return in words why an act failed."""
    if isinstance(error, OSError):
        return "the hardware failed: %s" % error
    return str(error) if isinstance(error, Mismatch) else "%s: %s" % (type(error).__name__, error)
