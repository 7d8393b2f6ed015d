"""The twin of a device while nothing happens to it: its topics, and when there is something to do.

What asks, reports and converges (azure_twin_requests, commands.desired) is loaded for that, and put away when nothing
is under way: it takes memory that is used for a second an hour. What must be remembered meanwhile is here and in
commands.wishes.
"""

from fieldpost import compat
from fieldpost.limits import TWIN_RETRY_MS
from fieldpost.modules import unload

_TOPICS = "$iothub/twin/"
_ANSWER = "$iothub/twin/res/"
_NOTICE = "$iothub/twin/PATCH/properties/desired/"
_LOADED = (
    "fieldpost.hubs.azure_twin_requests",
    "fieldpost.hubs.property_bag",
    "fieldpost.commands.desired",
    "fieldpost.facts",
)


class Twin:
    """A channel of the session (see uplink.session). wishes: see commands.wishes.

    make(channel, wishes): loads what does the work, and returns a TwinRequests.
    last_error: what the hub had against the last request, or "". must_ask: whether the twin must be asked for, after
    not_before_ms. request_id: of the last request of this boot.
    """

    subscriptions = ((_ANSWER + "#", 0), (_NOTICE + "#", 0))

    def __init__(self, wishes, make):
        wishes.channel = self
        self.must_ask = False
        self.not_before_ms = 0
        self.request_id = 0
        self.last_error = ""
        self._wishes = wishes
        self._make = make
        self._requests = None
        self._is_ready = False
        self._now_ms = 0

    def ready(self, now_ms):
        """All subscriptions are granted: ask for everything, notices may have been missed."""
        self._is_ready = self.must_ask = True
        self.not_before_ms = now_ms
        self._wishes.connected()

    def closed(self):
        """The connection is gone. The memory is for the next one's handshake."""
        self._is_ready = False
        if self._requests is not None:
            self._requests.closed()
            if not self._wishes.under_way:
                self._put_away()

    def take(self, topic, payload):
        """Take a message (topic: str); return whether it was for this channel."""
        if topic.startswith(_NOTICE):
            self.must_ask = True
        elif not topic.startswith(_TOPICS):
            return False
        elif self._requests is not None:  # else nothing was asked
            self._requests.answered(topic[len(_ANSWER) :], payload)
        return True

    def take_long(self, topic, size):
        """Note that a message of `size` bytes was passed over; return whether it was for this channel."""
        if topic.startswith(_NOTICE):
            self.must_ask = True
        elif not topic.startswith(_TOPICS):
            return False
        else:
            # To ask again would change nothing: the next notice, or connection, may.
            self.last_error = "the twin takes %d bytes, more than this device can read" % size
            if self._requests is not None:
                self._requests.closed()
        return True

    def step(self, now_ms, link):
        """Ask or report if there is reason to."""
        self._now_ms = now_ms
        try:
            if self._requests is None:
                if now_ms < self.not_before_ms or not (self.must_ask or self._wishes.is_due(now_ms)):
                    return
                self._requests = self._make(self, self._wishes)
            self._requests.step(now_ms, link)
        except MemoryError:
            self._try_later()
        if self._requests is None or self._requests.is_at_rest(now_ms):
            self._put_away()

    def finished(self, asked, status, answer):
        """A command of the desired state is finished. asked: see commands.desired."""
        try:
            self._requests.finished(asked, status, answer)
        except MemoryError:
            self.must_ask = True
            self._try_later()
        if not self._is_ready and not self._wishes.under_way:
            self._put_away()

    def _try_later(self):
        self.last_error = "the twin finds no memory"
        self.not_before_ms = self._now_ms + TWIN_RETRY_MS

    def _put_away(self):
        self._requests = None
        if compat.is_micropython:
            for name in _LOADED:
                unload(name)
