"""Batches that were sent and not yet acknowledged, oldest first.

    sent(5) sent(6) sent(7)       in flight: 5 6 7
    acknowledged(6)               in flight: 5 . 7     nothing to forget yet: 5 is older
    acknowledged(5)               in flight: 7         forget through the last record of 6

Acknowledgements may come out of order although MQTT 3.1.1 section 4.6 says that they do not: a broker that
gets this wrong must cost a repeat, never a reading. The window moves no bytes and reads no clock.
"""

from array import array

from fieldpost.limits import WINDOW_BATCHES_MAX


class Window:
    """A ring of `size` slots; allocates nothing after construction.

    After `acknowledged`, `forget_through` is the number through which the ring may forget (0 = not yet) and
    `forget_lost` how many of the numbers passed by were reported as lost.
    """

    def __init__(self, size):
        assert 1 <= size <= WINDOW_BATCHES_MAX
        self._size = size
        self._packet_ids = array("H", [0] * size)  # 0 is no packet id (section 2.3.1): acknowledged
        self._firsts = array("Q", [0] * size)
        self._lasts = array("Q", [0] * size)
        self._lost = array("I", [0] * size)
        self._sent_ms = [0] * size
        self._oldest = 0
        self.count = 0
        self.forget_through = 0
        self.forget_lost = 0

    @property
    def is_full(self):
        """Whether no further batch may leave."""
        return self.count == self._size

    def holds(self, packet_id):
        """Return whether a batch of that id is in flight."""
        return self._slot_of(packet_id) >= 0

    def sent(self, packet_id, first, last, lost, now_ms):
        """Note that the batch of records `first` to `last`, `lost` of them reported lost, left at `now_ms`."""
        assert not self.is_full and packet_id
        slot = (self._oldest + self.count) % self._size
        self._packet_ids[slot] = packet_id
        self._firsts[slot] = first
        self._lasts[slot] = last
        self._lost[slot] = lost
        self._sent_ms[slot] = now_ms
        self.count += 1

    def sent_again(self, position, lost, now_ms):
        """Note that the batch at `position` left once more."""
        slot = (self._oldest + position) % self._size
        self._lost[slot] = lost
        self._sent_ms[slot] = now_ms

    def batch(self, position):
        """Return (packet_id, first, last, lost) of the batch at `position`, 0 = oldest; packet_id 0 = acknowledged."""
        assert position < self.count
        slot = (self._oldest + position) % self._size
        return self._packet_ids[slot], self._firsts[slot], self._lasts[slot], self._lost[slot]

    def acknowledged(self, packet_id):
        """Take an acknowledgement; return how many records it confirms, 0 if nothing of that id is in flight.

        The hub may acknowledge a repeat twice: the second time nothing is in flight.
        """
        slot = self._slot_of(packet_id)
        if slot < 0:
            return 0
        self._packet_ids[slot] = 0
        confirmed = self._lasts[slot] - self._firsts[slot] + 1 - self._lost[slot]
        while self.count and self._packet_ids[self._oldest] == 0:
            oldest = self._oldest
            self._passed(self._firsts[oldest], self._lasts[oldest], self._lost[oldest])
            self._oldest = (self._oldest + 1) % self._size
            self.count -= 1
        return confirmed

    def _passed(self, first, last, lost):
        """Note that all of a batch is confirmed, and all that left before it."""
        self.forget_through = last
        self.forget_lost += lost

    def cut(self, position):
        """Take the batches from `position` on out of the window: they will leave as new ones."""
        assert position < self.count
        self.count = position

    def forgotten(self):
        """The ring has forgotten what `forget_through` named."""
        self.forget_through = 0
        self.forget_lost = 0

    def waiting_since_ms(self, count):
        """Return when the batch that waits longest was sent, or None; only the `count` oldest are looked at."""
        oldest = None
        for position in range(count):
            slot = (self._oldest + position) % self._size
            if self._packet_ids[slot] and (oldest is None or self._sent_ms[slot] < oldest):
                oldest = self._sent_ms[slot]
        return oldest

    def _slot_of(self, packet_id):
        for position in range(self.count):
            slot = (self._oldest + position) % self._size
            if self._packet_ids[slot] == packet_id:
                return slot
        return -1
