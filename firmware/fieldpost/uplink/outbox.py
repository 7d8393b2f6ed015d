"""The lanes of a device on one connection: the urgent one first, all with packet ids of one sequence."""

from fieldpost.limits import PACKET_ID_MAX
from fieldpost.uplink.lane import NotYet


class Outbox:
    """lanes: Lane objects, the most urgent first. A lane sends only when those before it wait for no room.

    A lane whose window is full of unacknowledged batches holds nobody up.
    """

    def __init__(self, lanes, dialect):
        self._lanes = lanes
        self._dialect = dialect
        self._packet_id = 0
        self._link = None

    def new_packet_id(self):
        """Return a packet id that is not in flight: 1 to 65535, then 1 again (MQTT 3.1.1 section 2.3.1)."""
        while True:
            self._packet_id = self._packet_id % PACKET_ID_MAX + 1
            for lane in self._lanes:
                if lane.window.holds(self._packet_id):
                    break
            else:
                return self._packet_id

    @property
    def in_flight(self):
        """Batches that wait for their acknowledgement."""
        count = 0
        for lane in self._lanes:
            count += lane.window.count
        return count

    def disconnected(self, now_ms, is_objection):
        """The connection is gone; everything in flight is in doubt and leaves again, oldest first.

        is_objection: whether it may have ended because too much was sent: see pace.py.
        """
        for lane in self._lanes:
            if lane.pace is not None:
                lane.pace.connection_ended(now_ms, is_objection and lane.window.count > 0)
            lane.disconnected()

    def acknowledged(self, packet_id):
        """Take a PUBACK; one for nothing in flight is ignored."""
        for lane in self._lanes:
            lane.acknowledged(packet_id)

    def overdue(self, now_ms, timeout_ms):
        """Return whether a batch of this connection has waited for its PUBACK for longer than `timeout_ms`."""
        for lane in self._lanes:  # noqa: SIM110 - a generator in each step would be garbage
            if lane.overdue(now_ms, timeout_ms):
                return True
        return False

    def step(self, now_ms, link):
        """Send what may leave now. link: body() and publish_body(), see links.umqtt."""
        self._link = link
        try:
            for lane in self._lanes:
                if not lane.step(now_ms, self):
                    return
        except NotYet:
            pass  # something is being looked for in flash, a little in each step; the lanes share the search

    def forget(self, now_ms):
        """Let the rings forget what is confirmed."""
        for lane in self._lanes:
            lane.forget(now_ms)

    def body(self):
        """What a lane calls: where to pack a message; None if the link has no room for one."""
        return self._link.body()

    def publish(self, message_id, payload, packet_id, dup):
        """What a lane calls: hand what is packed to the link; return whether it was taken."""
        return self._link.publish_body(self._dialect.event_topic(message_id), payload, packet_id, dup)

    @property
    def sent_records(self):
        """Records sent for the first time since boot."""
        count = 0
        for lane in self._lanes:
            count += lane.sent_records
        return count

    @property
    def acked_records(self):
        """Records that the hub has confirmed since boot."""
        count = 0
        for lane in self._lanes:
            count += lane.acked_records
        return count

    @property
    def duplicates_sent(self):
        """Records sent again since boot."""
        count = 0
        for lane in self._lanes:
            count += lane.duplicates_sent
        return count
