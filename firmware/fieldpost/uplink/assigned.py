"""A session whose hub is assigned by a service, which is asked over the same link.

    state         event                     next          what is done
    down          no hub is known           connecting    to the service
    subscribing   link_suback               registering   register, then ask until it has decided
    registering   assigned                  down          the link is led to the hub, and at once opened
    registering   refused, silent           down          back off; a hub that was known before is tried again
    down          the hub keeps refusing    connecting    to the service: it may have another hub by now

To the service nothing is sent but the question: readings wait.
"""

from fieldpost.limits import DPS_FAILURES_MAX, DPS_REFUSALS_MAX
from fieldpost.uplink.session import DOWN, READY, Session

REGISTERING = "registering"


class AssignedSession(Session):
    """As Session. dialect: an AssignedDialect (hubs.azure_dps). link: with point(host, port)."""

    def __init__(self, link, outbox, dialect, *rest):
        super().__init__(link, outbox, dialect, *rest)
        self._refusals = 0  # of the hub, since it was last ready
        self._failures = 0

    def step(self, now_ms):
        """Do what is due; never waits."""
        super().step(now_ms)
        if self.state != REGISTERING or not self._dialect.step(now_ms, self._link):
            return
        if self._dialect.error:
            self._link.close()
            self.link_closed(self._dialect.error, self._dialect.is_refused)
            return
        self._link.close()
        self._lead()
        self._enter(DOWN)
        self._due_ms = now_ms
        self.last_error = ""

    def link_connected(self):
        """The hub, or the service, accepted the connection."""
        channels = self._channels
        if self._dialect.is_applying:
            self._channels = ()  # the service knows none of them
        super().link_connected()
        self._channels = channels

    def link_suback(self, granted):
        """As Session's; the service's one subscription begins the registration."""
        if self._dialect.is_applying and granted != 0x80:
            self._enter(REGISTERING)
            self._dialect.begin(self._now_ms)
            return
        super().link_suback(granted)
        if self.state == READY:
            self._refusals = self._failures = 0

    def link_message(self, topic, payload, packet_id):
        """A message from the hub, or from the service."""
        if not self._dialect.is_applying:
            super().link_message(topic, payload, packet_id)
            return
        if packet_id:
            self._link.puback(packet_id)
        self._dialect.answer(topic, payload, self._now_ms)

    def link_closed(self, reason, is_refusal=False):
        """The link is gone: back off, and choose whom to ask next."""
        was_ready = self.state == READY
        super().link_closed(reason, is_refusal)
        dialect = self._dialect
        if dialect.is_applying:
            if dialect.use_known():
                self._refusals = self._failures = 0
                self._lead()
            return
        if was_ready:
            return
        self._refusals += is_refusal
        self._failures += 1
        if self._refusals >= DPS_REFUSALS_MAX or self._failures >= DPS_FAILURES_MAX:
            dialect.apply()
            self._lead()
            self._due_ms = self._now_ms  # it is not the service that refused

    def _lead(self):
        host, port = self._dialect.server
        self._link.point(host, port)
