"""Commands, one at a time, in the order in which they came: each has one effect and one answer.

    submit -> queue -> judge -> journal BEGUN -> act -> [journal ACTED] -> answer -> journal DONE -> acknowledge

`answer` stores a record before it returns; ACTED is noted for commands that must not be repeated. A command that
was not acknowledged is delivered again (IoT Hub: at least once), and what happens then depends on where the power
went:

    power cut                     a repeat finds    LEVEL (gpio.set)             ONCE (gpio.pulse)
    before BEGUN, or inside it    nothing           acts: the first time         acts: the first time
    after BEGUN, before the act   BEGUN             acts                         interrupted, never acted
    during the act                BEGUN             acts again: same level       interrupted, acted in part
    after the act, before ACTED   BEGUN             acts again: same level       interrupted, acted
    after ACTED                   ACTED             -                            answered with its status, no act
    after the answer              BEGUN or ACTED    acts again, answers again    the same answer again
    after DONE                    DONE              acknowledged, nothing else   acknowledged, nothing else

A restart makes every output safe first, so a pulse that was cut off has ended. Its answer "interrupted" says that it
may have happened wholly, in part or not at all. A LEVEL command that has expired between the cut and the repeat is
answered "interrupted" too: by then it must not move a pin, and what it did before the cut is undone by the safe level.
Answers may come twice, with the same id; only that last case can make them differ ("done", then "interrupted").

Without a message id nothing can be recognised as a repeat: ONCE commands are refused, LEVEL commands act on each
delivery and leave no note. A hash of the body is no substitute, for two equal pulses may both be meant.

A message that is no command is refused with a reason, answered and acknowledged in its turn, so that it neither
clogs the hub's queue nor overtakes (MQTT 3.1.1 section 4.6: acknowledgements leave in the order of delivery).
"""

from fieldpost.commands import guard
from fieldpost.commands.answer import encode
from fieldpost.commands.journal import (
    BEGUN,
    NEW,
    STATUS_DONE,
    STATUS_FAILED,
    STATUS_INTERRUPTED,
    STATUS_REFUSED,
    digest,
)
from fieldpost.commands.word import ONCE
from fieldpost.limits import COMMAND_NAME_CHARS_MAX, COMMANDS_QUEUED_MAX
from fieldpost.shapes import Mismatch


class Commands:
    """vocabulary, outputs, journal: see those modules. answer(text): stores an answer (bytes) durably.

    utc_ms(): Unix time in ms, or None while it is not known. `done_callback(token)`, set by whoever submits, is
    called once for each submitted command that is finished, with the token of its newest delivery.

    done, refused, interrupted, failed: commands by the status of their answer. repeated: deliveries of a command
    that was known already. journal_faults: notes that the flash did not take.
    """

    def __init__(self, vocabulary, outputs, journal, answer, utc_ms):
        self.done_callback = None
        self.done = 0
        self.refused = 0
        self.interrupted = 0
        self.failed = 0
        self.repeated = 0
        self.journal_faults = 0
        self._vocabulary = vocabulary
        self._outputs = outputs
        self._journal = journal
        self._answer = answer
        self._utc_ms = utc_ms
        self._queue = []  # the first is the one under way
        self._running = None

    def submit(self, command, token, now_ms):
        """Queue a Command and return True; what is wrong with it is answered in its turn.

        A command that is queued or under way already only gets the new token. Returns False if
        COMMANDS_QUEUED_MAX commands wait: it is not taken and must not be acknowledged, the hub keeps it.
        """
        word = arguments = reason = None
        try:
            word, arguments = guard.permitted(self._vocabulary, command)
        except Mismatch as mismatch:
            reason = str(mismatch)
        return self._enqueue(_Job(command.id, command.name, word, arguments, reason, command.expires_ms, token))

    def submit_malformed(self, malformed, token, now_ms):
        """Queue the refusal of a message that is no command (a CommandMalformed). Returns what `submit` returns."""
        return self._enqueue(_Job(malformed.id, "", None, None, malformed.reason, None, token))

    def step(self, now_ms):
        """End the pulses that are due, then begin, continue or finish one command."""
        self._outputs.step(now_ms)
        if self._running is not None:
            self._go_on(self._queue[0], now_ms)
        elif self._queue:
            self._take_up(self._queue[0], now_ms)

    def wait_ms(self, now_ms):
        """Return in how many ms `step` has something to do, or None if only a new command changes that."""
        if self._queue and self._running is None:
            return 0
        return self._outputs.wait_ms(now_ms)

    def _enqueue(self, job):
        if job.key is not None:
            for queued in self._queue:
                if queued.key == job.key:
                    queued.token = job.token
                    self.repeated += 1
                    return True
        if len(self._queue) == COMMANDS_QUEUED_MAX:
            return False
        self._queue.append(job)
        return True

    def _take_up(self, job, now_ms):
        state = NEW if job.key is None else self._journal.state(job.key)
        if state != NEW:
            self.repeated += 1
        reason = job.reason or guard.staleness(job.expires_ms, self._utc_ms())
        verdict = guard.verdict(state, job.word, reason)
        if verdict == guard.ACT:
            self._act(job, state, now_ms)
        elif verdict == guard.REFUSE:
            self._finish(job, STATUS_REFUSED, (("reason", reason),))
        elif verdict == guard.INTERRUPT:
            why = reason or "a restart cut it off; it may have acted in part and is not repeated"
            self._finish(job, STATUS_INTERRUPTED, (("reason", why),))
        elif verdict == guard.ANSWER:
            why = "it acted before a restart; its result is lost"
            self._finish(job, self._journal.status(job.key), (("reason", why),))
        else:
            self._leave(job)

    def _act(self, job, state, now_ms):
        if job.key is not None and state != BEGUN and not self._noted(self._journal.begun, job.key):
            self._finish(job, STATUS_FAILED, (("reason", "the journal's flash takes no notes, so nothing was done"),))
            return
        try:
            result = job.word.act(self._outputs, job.arguments, now_ms)
        except OSError as error:
            self._acted(job, STATUS_FAILED, (("reason", "the hardware failed: %s" % error),))
            return
        if hasattr(result, "step"):
            self._running = result
        else:
            self._acted(job, STATUS_DONE, result)

    def _go_on(self, job, now_ms):
        ended = self._running.step(now_ms)
        if ended is not None:
            self._running = None
            self._acted(job, *ended)

    def _acted(self, job, status, result):
        if job.word.repetition == ONCE:
            self._noted(self._journal.acted, job.key, status)
        self._finish(job, status, result)

    def _finish(self, job, status, result):
        """Store the answer, note that it is stored, and let the hub forget the command."""
        self._answer(encode(job.id, status, job.name, result))
        if job.key is not None:
            self._noted(self._journal.done, job.key, status)
        self._count(status)
        self._leave(job)

    def _leave(self, job):
        assert self._queue[0] is job
        self._queue.pop(0)
        self.done_callback(job.token)

    def _noted(self, note, *what):
        """Write to the journal; return whether the flash took it. Worn-out flash must not stop the answers."""
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


class _Job:
    """What is kept of a command while it waits: checked arguments, or the reason why it will be refused."""

    def __init__(self, message_id, name, word, arguments, reason, expires_ms, token):
        self.id = message_id
        self.key = digest(message_id) if message_id else None
        # What is unknown has the length that its sender chose; an answer shows no more of it than this.
        self.name = name if word is not None else name[: COMMAND_NAME_CHARS_MAX + 1]
        self.word = word
        self.arguments = arguments
        self.reason = reason
        self.expires_ms = expires_ms
        self.token = token
