"""What to send now, and what the ring may forget.

Reads the ring in order, packs batches, keeps up to a window of them unacknowledged, and after a reconnect
sends exactly those again, with DUP, the same packet id and the same message id (MQTT 3.1.1 section 4.4).
A batch leaves when it is full, when its oldest record has waited long enough, or when more than a full
batch is waiting.
"""

from fieldpost.limits import FORGET_INTERVAL_MS, RECORD_BYTES_MAX
from fieldpost.uplink.batch import Batch
from fieldpost.uplink.window import Window


class Outbox:
    """The way from a ring to a link. Sans-IO: the link is handed to `step`, time is a number.

    render: callable(number, kind, payload) -> JSON text, or None for "not yet, ask again".
    """

    def __init__(self, ring, window_size, render, dialect, records_max, bytes_max, age_ms):
        self._ring = ring
        self._render = render
        self._dialect = dialect
        self._records_max = records_max
        self._age_ms = age_ms
        self._reader = ring.reader()
        self._payload = memoryview(bytearray(RECORD_BYTES_MAX))
        self._held = None  # a record that was read and had no room: (number, text)
        self._batch = Batch(ring.ring_id, records_max, bytes_max)
        self._next = ring.cursor + 1  # first number that is in no batch yet
        self._resend = 0  # position in the window of the next batch to send again
        self._waiting_since_ms = None
        self._forgot_ms = 0
        self.window = Window(window_size)
        self.sent_records = 0
        self.acked_records = 0
        self.lost_reported = 0
        self.duplicates_sent = 0

    def disconnected(self):
        """The connection is gone; everything in flight is in doubt and leaves again, oldest first."""
        self._resend = 0

    def acknowledged(self, packet_id):
        """Take a PUBACK; one for nothing in flight is ignored."""
        before = self.window.count
        self.acked_records += self.window.acknowledged(packet_id)
        self._resend = max(0, self._resend - (before - self.window.count))

    def overdue(self, now_ms, timeout_ms):
        """Return whether a batch has waited for its PUBACK for longer than `timeout_ms`."""
        since_ms = self.window.waiting_since_ms()
        return since_ms is not None and now_ms - since_ms > timeout_ms

    def step(self, now_ms, link):
        """Send what may leave now. link: publish(topic, payload, packet_id, dup) -> whether it had room."""
        while self._resend < self.window.count:
            if not self._send_again(now_ms, link):
                return
        while not self.window.is_full and self._may_leave(now_ms):
            if not self._send_new(now_ms, link):
                return

    def forget(self, now_ms):
        """Let the ring forget what is confirmed: at once when nothing is in flight, else now and then."""
        through = self.window.forget_through
        if through and (not self.window.count or now_ms - self._forgot_ms >= FORGET_INTERVAL_MS):
            self._ring.forget(through, self.window.forget_lost)
            self.lost_reported += self.window.forget_lost
            self.window.forgotten()
            self._forgot_ms = now_ms

    def _may_leave(self, now_ms):
        waiting = self._ring.next_number - self._next
        if waiting <= 0:
            self._waiting_since_ms = None
            return False
        if self._waiting_since_ms is None:
            self._waiting_since_ms = now_ms
        # A record that had no room in the last batch means that more than a full one was waiting.
        is_draining = waiting >= self._records_max or bool(self._held)
        return is_draining or now_ms - self._waiting_since_ms >= self._age_ms

    def _send_new(self, now_ms, link):
        if not self._fill(self._next, self._ring.next_number - 1):
            return False
        packet_id = self.window.new_packet_id()
        if not self._publish(link, packet_id, dup=False):
            return False
        batch = self._batch
        self.window.sent(packet_id, batch.first, batch.last, batch.lost, now_ms)
        self._resend = self.window.count
        self._next = batch.last + 1
        self._waiting_since_ms = None
        self.sent_records += batch.records
        return True

    def _send_again(self, now_ms, link):
        packet_id, first, last, lost = self.window.batch(self._resend)
        if packet_id:
            if not self._fill(first, last, whole=True):
                return False
            if not self._publish(link, packet_id, dup=self._batch.lost == lost):
                return False
            self.window.sent_again(self._resend, self._batch.lost, now_ms)
            self.duplicates_sent += self._batch.records
        self._resend += 1
        return True

    def _publish(self, link, packet_id, dup):
        message_id = self._batch.message_id(self._ring.ring_id)
        sent = link.publish(self._dialect.event_topic(message_id), self._batch.body(), packet_id, dup)
        if not sent:
            self._seek(self._batch.first)
        return sent

    def _fill(self, first, last, whole=False):
        """Pack records `first` to `last` as far as they fit; return whether a batch is ready.

        whole: the range was one batch before, so it fits, and what is no longer there is lost.
        """
        is_in_place = self._reader.number + 1 == first if self._held is None else self._held[0] >= first
        if whole or not is_in_place:
            self._seek(first)
        self._batch.begin(first)
        while not self._batch.is_full or whole:
            if self._held is None and not self._read():
                break
            if self._held == ():
                # Its clock is being looked for: nothing may overtake it.
                self._seek(first)
                return False
            number, text = self._held
            if number > last or not self._batch.add(number, text):
                break
            self._held = None
            if number == last:
                break
        if whole:
            self._batch.add_lost_through(last)
        return not self._batch.is_empty

    def _read(self):
        length = self._reader.next(self._payload)
        if length < 0:
            return False
        number = self._reader.number
        text = self._render(number, self._reader.kind, self._payload[:length])
        self._held = () if text is None else (number, text)
        return True

    def _seek(self, number):
        self._reader.seek(number)
        self._held = None
