"""The life of a connection, as a table.

    state         event          next          what is done
    down          due            connecting    link.open with a fresh password
    connecting    link_connected subscribing   SUBSCRIBE to what the dialect wants
    subscribing   link_suback    ready         when the last one is granted; the outbox sends what is in flight
    subscribing   suback late    down          link.close
    ready         puback         ready         the window moves, the ring forgets
    any but down  link_closed    down          back off with jitter
    ready         puback late    down          link.close: a hub that does not acknowledge is not there
    ready         password old   down          link.close when nothing is in flight, and at once open again

A hub that refuses the credentials is asked again at the ceiling of the back-off: readings are kept.
"""

from fieldpost.errors import ClockUnknown, CommandMalformed
from fieldpost.limits import (
    CLOCK_WAIT_MS,
    PUBACK_TIMEOUT_MS,
    RENEW_LATEST_PERCENT,
    RENEW_QUIET_PERCENT,
    SESSION_STABLE_MS,
    SUBACK_TIMEOUT_MS,
)

DOWN = "down"
CONNECTING = "connecting"
SUBSCRIBING = "subscribing"
READY = "ready"


class Session:
    """Drives a link. commands: submit and refuse (see commands.executor); time is a number in ms.

    channels: what else speaks over the connection: objects with `subscriptions`, ready(now_ms), closed(),
    take(topic, payload) and take_long(topic, size) -> whether it was theirs, step(now_ms, link),
    finished(what, status, answer).
    """

    def __init__(self, link, outbox, dialect, commands, backoff, channels=()):
        self._link = link
        self._outbox = outbox
        self._dialect = dialect
        self._commands = commands
        self._backoff = backoff
        self._channels = tuple(channels)
        self._due_ms = 0
        self._opened_ms = 0
        self._left_behind = False  # whether commands of this connection were not taken
        self._now_ms = 0
        self._connection = 0  # counts connections: a token of an earlier one must not acknowledge in this one
        self._subscriptions_open = 0
        self._since_ms = 0  # when the state began
        self._is_stable = False
        self.state = DOWN
        self.last_error = ""

    def step(self, now_ms):
        """Do what is due; never waits."""
        self._now_ms = now_ms
        if self.state == DOWN:
            if now_ms >= self._due_ms:
                self._open()
            return
        self._link.step(now_ms, self)
        if self.state == READY:
            self._send(now_ms)
        elif self.state == SUBSCRIBING and now_ms - self._since_ms > SUBACK_TIMEOUT_MS:
            self._give_up("no answer to SUBSCRIBE within %d s" % (SUBACK_TIMEOUT_MS // 1000))

    def command_done(self, token, status=None, answer=None):
        """A command is finished: acknowledge its message, if the connection that brought it still lives.

        One that came through a channel is answered there. status: of its answer; answer: JSON (bytes), or None.
        """
        where, what = token
        if type(where) is not int:
            where.finished(what, status, answer)
        elif what and where == self._connection and self.state != DOWN:
            self._link.puback(what)

    def judge_again(self):
        """The time of day is another: connect anew, so that the hub's certificate is judged by it."""
        if self.state != DOWN and self._dialect.is_judged:
            self._renew()

    def link_connected(self):
        """The hub accepted the connection."""
        self._enter(SUBSCRIBING)
        self._left_behind = False
        self._subscriptions_open = 0
        for subscriber in (self._dialect,) + self._channels:
            for topic, qos in subscriber.subscriptions:
                self._link.subscribe(topic, qos, self._outbox.new_packet_id())
                self._subscriptions_open += 1

    def link_suback(self, granted):
        """granted: QoS, or 0x80 for refused (MQTT 3.1.1 section 3.9.3)."""
        if granted == 0x80:
            self._give_up("subscription refused")
            return
        self._subscriptions_open -= 1
        if self._subscriptions_open == 0:
            self._enter(READY)
            self.last_error = ""
            self._is_stable = False
            for channel in self._channels:
                channel.ready(self._now_ms)

    def link_puback(self, packet_id):
        """The hub has stored a batch."""
        self._outbox.acknowledged(packet_id)

    def link_message(self, topic, payload, packet_id):
        """A message from the hub. topic, payload: memoryviews, valid during the call. packet_id 0: QoS 0."""
        token = (self._connection, packet_id)
        try:
            for channel in self._channels:
                if channel.take(str(topic, "utf-8"), payload):
                    self.command_done(token)
                    return
            if self._left_behind:
                return  # it comes again behind those that were left: none may overtake
            parsed = self._dialect.parse(topic, payload)
        except UnicodeError:
            self.command_done(token)  # no topic of MQTT (3.1.1 section 4.7.3), and nobody's
            return
        except CommandMalformed as error:
            self._commands.refuse(error.command_id, error.reason, token, "message", error.correlation_id)
            return
        except MemoryError:  # there is no room for what reads commands
            self._left_behind = True
            return
        if parsed is None:
            self.command_done(token)  # not ours; unacknowledged it would stand in the way of what is
        else:
            command_id, name, arguments, expires_ms, proof = parsed
            if not self._commands.submit(command_id, name, arguments, expires_ms, token, proof):
                self._left_behind = True

    def link_refused(self, packet_id, size, topic):
        """A message was too large for this device and was passed over; acknowledged, or it would come for ever.

        topic: a memoryview, empty if it was not kept.
        """
        token = (self._connection, packet_id)
        reason = "a message of %d bytes is too long for this device" % size
        try:
            topic = str(topic, "utf-8")
        except UnicodeError:
            topic = ""
        for channel in self._channels:
            if channel.take_long(topic, size):
                self.command_done(token)
                return
        self.last_error = reason
        self._commands.refuse(self._dialect.command_id(topic) if topic else "", reason, token)

    def link_has_room(self):
        """Return whether commands can be taken: what is not read waits in the network, and costs no memory here."""
        return self._commands.has_room()

    def link_closed(self, reason, is_refusal=False):
        """The link is gone. is_refusal: the hub said no, so that haste will not help."""
        if is_refusal:
            self._backoff.at_ceiling()
        was_ready = self.state == READY
        self._enter(DOWN)
        self.last_error = reason
        self._due_ms = self._now_ms + self._backoff.next_ms()
        self._disconnected(was_ready)

    def _disconnected(self, is_objection=False):
        self._outbox.disconnected(self._now_ms, is_objection)
        for channel in self._channels:
            channel.closed()

    def _renew(self):
        self._link.disconnect()  # with a goodbye: the device is not lost, and its will is not to be told
        self._enter(DOWN)
        self._due_ms = self._now_ms
        self._disconnected()

    def _open(self):
        try:
            password = self._dialect.password()
        except ClockUnknown:
            self.last_error = "the time of day is not known yet"
            self._due_ms = self._now_ms + CLOCK_WAIT_MS
            return
        except MemoryError:
            self.last_error = "there is no memory to sign in"
            self._due_ms = self._now_ms + self._backoff.next_ms()
            return
        self._connection += 1
        self._opened_ms = self._now_ms
        self._enter(CONNECTING)
        self._link.open(self._now_ms, password, self)

    def _send(self, now_ms):
        if self._left_behind and self._commands.is_idle():
            self._give_up("the hub shall deliver again what there was no room for")
            return
        if self._must_renew(now_ms):
            # MQTT has no other way to show a new password. Nothing is in flight, so that nothing is sent again.
            self._renew()
            return
        for channel in self._channels:
            channel.step(now_ms, self._link)
        self._outbox.step(now_ms, self._link)
        self._outbox.forget(now_ms)
        if self._outbox.overdue(now_ms, PUBACK_TIMEOUT_MS):
            self._give_up("no acknowledgement within %d s" % (PUBACK_TIMEOUT_MS // 1000))
        elif not self._is_stable and now_ms - self._since_ms >= SESSION_STABLE_MS:
            self._is_stable = True
            self._backoff.reset()

    def _must_renew(self, now_ms):
        """Return whether to connect again with a fresh password: in a quiet moment, or when it is about to expire."""
        lifetime_ms = self._dialect.password_ms
        if lifetime_ms is None:
            return False
        age_ms = now_ms - self._opened_ms
        if age_ms < lifetime_ms * RENEW_QUIET_PERCENT // 100:
            return False
        is_quiet = not self._outbox.in_flight and self._commands.is_idle()
        return is_quiet or age_ms >= lifetime_ms * RENEW_LATEST_PERCENT // 100

    def _give_up(self, reason):
        self._link.close()
        self.link_closed(reason)

    def _enter(self, state):
        self.state = state
        self._since_ms = self._now_ms
