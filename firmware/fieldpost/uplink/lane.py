"""One ring's way to the hub: what to send now, and what the ring may forget.

Reads the ring in order, packs batches, keeps up to a window of them unacknowledged, and after a reconnect
sends exactly those again, with DUP, the same packet id and the same message id (MQTT 3.1.1 section 4.4).
A batch leaves when it is full, when its oldest record has waited long enough, or when more than a full
batch is waiting. Only its numbers are remembered: its body is made again from the ring.
"""

from fieldpost.limits import FORGET_INTERVAL_MS, LOOKUPS_PER_BATCH_MAX
from fieldpost.uplink.batch import Batch
from fieldpost.uplink.window import Window


class NotYet(Exception):
    """The next record cannot be rendered before something else is known."""


class Lane:
    """The way from a ring to a link. Sans-IO: the link is handed to `step`, time is a number.

    renderer: gives messages their form, see records.renderer.
    window_size: batches in flight. A batch is full at records_max or bytes_max, and leaves after age_ms at the latest.
    """

    def __init__(self, ring, renderer, window_size, records_max, bytes_max, age_ms):
        self._ring = ring
        self._renderer = renderer
        self._records_max = records_max
        self._age_ms = age_ms
        self._reader = ring.reader()
        self._batch = Batch(renderer, records_max, bytes_max)
        self._next = ring.cursor + 1  # first number that is in no batch yet
        self._resend = 0  # how many batches of the window have left on this connection
        self._waiting_since_ms = None
        self._forgot_ms = 0
        self._sought = 0  # the record that something was looked for last, and how many there were for this batch
        self._lookups = 0
        self.pace = None  # a Pace, for a lane that could ask too much of the hub
        self._seek(self._next)
        self.window = Window(window_size)
        self.sent_records = 0
        self.acked_records = 0
        self.duplicates_sent = 0

    def set_batch(self, records_max, age_ms):
        """Pack at most `records_max` from now on, and let the oldest wait for `age_ms` at the most."""
        self._records_max = self._batch.set_records_max(records_max)
        self._age_ms = age_ms

    def disconnected(self):
        """The connection is gone; everything in flight is in doubt and leaves again, oldest first."""
        self._resend = self._lookups = 0
        self._seek(self._next)

    def acknowledged(self, packet_id):
        """Take a PUBACK; one for nothing in flight is ignored."""
        before = self.window.count
        self.acked_records += self.window.acknowledged(packet_id)
        self._resend = max(0, self._resend - (before - self.window.count))

    def overdue(self, now_ms, timeout_ms):
        """Return whether a batch has waited for its PUBACK for longer than `timeout_ms`.

        What was sent on an earlier connection and is still to leave on this one waits for the link, not the hub.
        """
        since_ms = self.window.waiting_since_ms(self._resend)
        return since_ms is not None and now_ms - since_ms > timeout_ms

    def step(self, now_ms, outlet):
        """Send what may leave now; return False if something waits for room on the link.

        outlet: body() -> where to pack a message, or None for no room; publish(message_id, payload, packet_id, dup)
        of what was packed there -> whether it was taken; new_packet_id().
        Raises NotYet when a record cannot be rendered yet: nothing may overtake it.
        """
        try:
            while self._resend < self.window.count:
                if not self._is_time(now_ms):
                    return True
                body = outlet.body()
                if body is None or not self._send_again(now_ms, outlet, body):
                    return False
            while not self.window.is_full and self._may_leave(now_ms):
                if not self._is_time(now_ms):
                    return True
                body = outlet.body()
                if body is None:
                    return False
                self._pack_new(body)
                if self._batch.is_empty:
                    return True
                if not self._send_new(now_ms, outlet):
                    return False
        except NotYet:
            self._seek(self._batch.first)
            raise
        return True

    def forget(self, now_ms):
        """Let the ring forget what is confirmed: at once when nothing is in flight, else now and then."""
        through = self.window.forget_through
        if through and (not self.window.count or now_ms - self._forgot_ms >= FORGET_INTERVAL_MS):
            self._ring.forget(through, self.window.forget_lost)
            self.window.forgotten()
            self._forgot_ms = now_ms

    def _may_leave(self, now_ms):
        waiting = self._ring.synced + 1 - self._next
        if waiting <= 0:
            self._waiting_since_ms = None
            return False
        if self._waiting_since_ms is None:
            self._waiting_since_ms = now_ms
        # A record that had no room in the last batch means that more than a full one was waiting.
        is_draining = waiting >= self._records_max or (self._is_held and self._position == self._next)
        return is_draining or now_ms - self._waiting_since_ms >= self._age_ms

    def _send_new(self, now_ms, outlet):
        batch = self._batch
        packet_id = outlet.new_packet_id()
        if not self._publish(outlet, packet_id, False, now_ms):
            return False
        self.window.sent(packet_id, batch.first, batch.last, batch.lost, now_ms)
        self._resend = self.window.count
        self._sent_new()
        self.sent_records += batch.records
        return True

    def _sent_new(self):
        self._next = self._batch.last + 1
        self._waiting_since_ms = None

    def _send_again(self, now_ms, outlet, body):
        packet_id, first, last, lost = self.window.batch(self._resend)
        if packet_id:  # else it was acknowledged out of order
            batch = self._batch
            if not self._pack_again(first, last, body):
                # It no longer comes out as one message. The records are there: let them leave as new ones.
                self._cut(self._resend)
                return True
            if not self._publish(outlet, packet_id, batch.lost == lost, now_ms):
                return False
            self.window.sent_again(self._resend, batch.lost, now_ms)
            self.duplicates_sent += batch.records
        self._resend += 1
        return True

    def _cut(self, position):
        """The batches from `position` on leave as new ones."""
        _, self._next, _, _ = self.window.batch(position)
        self.window.cut(position)
        self._seek(self._next)

    def _is_time(self, now_ms):
        return self.pace is None or self.pace.may_send(now_ms)

    def _publish(self, outlet, packet_id, dup, now_ms):
        message_id = self._batch.message_id(self._ring.ring_id)
        if not outlet.publish(message_id, self._batch.body(), packet_id, dup):
            return False
        self._lookups = 0
        if self.pace is not None:
            self.pace.sent(now_ms)
        return True

    def _pack_new(self, body):
        """Pack what is there from the first number on that is in no batch yet, as far as it fits."""
        self._begin(self._next, body)
        batch = self._batch
        while not batch.is_full:
            if not self._peek():
                # The end: what an append has returned and is not there has rotted. No record behind it may ever tell.
                # A number that damage has used up is not told before one stands behind it: it could be given again.
                batch.add_lost_through(min(self._ring.synced, self._ring.newest_whole))
                return
            if not self._add():
                return
            self._take()

    def _pack_again(self, first, last, body):
        """Pack `first` to `last`, whatever is no longer kept as lost; return whether it came out whole."""
        self._begin(first, body)
        while self._batch.last < last and self._peek() and self._reader.number <= last:
            if not self._add():
                return False
            self._take()
        self._batch.add_lost_through(last)
        return self._batch.last == last

    def _begin(self, first, body):
        if self._position != first:
            self._seek(first)
        self._batch.begin(first, body)

    def _peek(self):
        """Hold the next record; return whether there is one."""
        if not self._is_held:
            if self._reader.next() < 0:
                return False
            self._is_held = True
        return True

    def _add(self):
        """Add the record that is held to the batch; return whether it had room. Raises NotYet."""
        reader = self._reader
        if not self._is_settled:
            if not self._renderer.is_settled(reader.number, reader.kind, reader.payload):
                return self._look_up(reader.number)
            self._is_settled = True
        return self._batch.add(reader.number, reader.kind, reader.payload)

    def _look_up(self, number):
        """Raise NotYet, or return False: one more record to look for could push out what the first ones needed."""
        if number != self._sought:
            self._sought = number
            self._lookups += 1
        if self._lookups > LOOKUPS_PER_BATCH_MAX and not self._batch.is_empty:
            return False
        raise NotYet

    def _take(self):
        self._position = self._reader.number + 1
        self._is_held = self._is_settled = False

    def _seek(self, number):
        self._reader.seek(number)
        self._position = number  # everything before it has been taken
        self._is_held = False  # whether the reader stands at a record that is not yet taken
        self._is_settled = False  # whether that one can be rendered
