"""Live records before the backlog: a lane whose batches leave out of order, and a ring that forgets in order.

    ring      1 ....... 500 501 ....... 900 901 902
    sent      backlog, oldest first ("live") or its newest first ("newest")   live: at once

What was acknowledged ahead of the ring's cursor is known in RAM alone. After a power cut it leaves again under the same
numbers, so that nothing is lost and the hub can tell: with "live" at most what was live since the backlog began to
drain, with "newest" what has drained since then.
"""

from fieldpost.limits import CHUNK_RECORDS
from fieldpost.uplink.lane import Lane
from fieldpost.uplink.window import Window


class AheadWindow(Window):
    """A window whose batches may lie anywhere; `forget_through` follows what is confirmed without a gap."""

    def __init__(self, size, cursor):
        super().__init__(size)
        self._through = cursor
        self._ahead = []  # [first, last, lost], confirmed beyond a gap, in order

    def _passed(self, first, last, lost):
        ahead = self._ahead
        index = len(ahead)
        while index and ahead[index - 1][0] > first:
            index -= 1
        if index and ahead[index - 1][1] + 1 == first:
            index -= 1
            ahead[index][1] = last
            ahead[index][2] += lost
        else:
            ahead.insert(index, [first, last, lost])
        if index + 1 < len(ahead) and ahead[index][1] + 1 == ahead[index + 1][0]:
            above = ahead.pop(index + 1)
            ahead[index][1] = above[1]
            ahead[index][2] += above[2]
        if ahead[0][0] == self._through + 1:
            _, last, lost = ahead.pop(0)
            self._through = last
            super()._passed(0, last, lost)


class LiveFirstLane(Lane):
    """A lane that sends what is new at once, and what has waited in what room is left.

    newest_first: the backlog's newest CHUNK_RECORDS leave before those that are older; within them the oldest first.
    """

    def __init__(self, ring, renderer, window_size, records_max, bytes_max, age_ms, newest_first):
        super().__init__(ring, renderer, window_size, records_max, bytes_max, age_ms)
        self._newest_first = newest_first
        self._spans = []  # (first, last) of the backlog, in no batch yet, in order
        self._is_live = False  # whether the batch that is packed is of what is new
        self._was_live = False  # and the one that left last
        self._is_fresh = True  # nothing was sent on this connection yet
        self.window = AheadWindow(window_size, ring.cursor)

    def disconnected(self):
        """The connection is gone: what piles up from now on is backlog."""
        super().disconnected()
        self._is_fresh = True

    def _may_leave(self, now_ms):
        if self._is_fresh:
            self._is_fresh = False
            if self._ring.synced + 1 - self._next >= self._records_max:
                self._spans.append((self._next, self._ring.synced))
                self._next = self._ring.synced + 1
        is_live = super()._may_leave(now_ms)
        if self._was_live and self._spans and self._ring.synced + 1 - self._next < self._records_max:
            is_live = False  # by turns, where the link is no faster than what is new comes
        self._is_live = is_live
        return is_live or bool(self._spans)

    def _pack_new(self, body):
        if self._is_live:
            super()._pack_new(body)
            return
        first, last = self._spans[-1]
        if self._newest_first:
            first = max(first, last + 1 - CHUNK_RECORDS)
        self._pack_span(first, last, body)

    def _pack_span(self, first, last, body):
        """Pack `first` to `last` as far as it fits, whatever is no longer kept as lost."""
        self._begin(first, body)
        while not self._batch.is_full:
            if not self._peek() or self._reader.number > last:
                self._batch.add_lost_through(last)
                return
            if not self._add():
                return
            self._take()

    def _sent_new(self):
        self._was_live = self._is_live
        if self._is_live:
            super()._sent_new()
            return
        batch = self._batch
        first, last = self._spans.pop()
        for span in ((first, batch.first - 1), (batch.last + 1, last)):
            if span[0] <= span[1]:
                self._spans.append(span)

    def _cut(self, position):
        """The batches from `position` on leave as new ones."""
        for index in range(position, self.window.count):
            _, first, last, _ = self.window.batch(index)
            self._spans.append((first, last))
        self._spans.sort()
        self.window.cut(position)
