"""The twin of a device while nothing happens to it: its topics, and when there is something to do.

What asks, reports and converges (azure_twin_requests, commands.desired) is loaded for that, and put away when nothing
is under way: it takes memory that is used for a second an hour. What it must remember meanwhile is here.
"""

from fieldpost import compat
from fieldpost.limits import TWIN_LEVEL_INTERVAL_MS, TWIN_RETRY_MS
from fieldpost.modules import unload

_TOPICS = "$iothub/twin/"
_ANSWER = "$iothub/twin/res/"
_NOTICE = "$iothub/twin/PATCH/properties/desired/"


class Twin:
    """A channel of the session (see uplink.session). outputs, settings (kept_settings): see those modules.

    make(channel): loads what does the work, and returns a TwinRequests.
    last_error: what the hub had against the last request, or "". The rest is for azure_twin_requests:
    must_ask: whether the twin must be asked for, after not_before_ms. is_new: whether this connection is news to it.
    request_id: of the last request of this boot.
    And for commands.desired:
    wishes, levels (as they were reported): by pin. gone: pins that are desired no longer, until that is reported.
    under_way: commands that are not finished. is_changed: whether there is news to report. settings_seen: their
    revision that was reported. next_report_ms: when there is to be a report at the latest. due_ms: when there is
    something to do.
    """

    subscriptions = ((_ANSWER + "#", 0), (_NOTICE + "#", 0))

    def __init__(self, outputs, settings, make):
        self._make = make
        self._outputs = outputs
        self._settings = settings
        self._requests = None
        self._is_ready = False
        self._now_ms = 0
        self._next_level_ms = 0
        self.last_error = ""
        self.must_ask = self.is_new = False
        self.not_before_ms = 0
        self.request_id = 0
        self.wishes = {}
        self.gone = []
        self.levels = {}
        self.under_way = 0
        self.is_changed = True
        self.settings_seen = -1
        self.next_report_ms = self.due_ms = 0

    def ready(self, now_ms):
        """All subscriptions are granted: ask for everything, notices may have been missed."""
        self._is_ready = self.must_ask = self.is_new = True
        self.not_before_ms = now_ms

    def closed(self):
        """The connection is gone. The memory is for the next one's handshake."""
        self._is_ready = False
        if self._requests is not None:
            self._requests.closed()
            if not self.under_way:
                self._put_away()

    def take(self, topic, payload, size=0):
        """Take a message (topic: str); return whether it was for this channel. size: of a payload passed over."""
        if not topic.startswith(_TOPICS):
            return False
        if topic.startswith(_NOTICE):
            self.must_ask = True
        elif self._requests is not None:  # else nothing was asked
            self._requests.answered(topic[len(_ANSWER) :], payload, size)
        return True

    def take_long(self, topic, size):
        """Note that a message of `size` bytes was passed over; return whether it was for this channel."""
        return self.take(topic, b"", size)

    def step(self, now_ms, link):
        """Ask or report if there is reason to."""
        self._now_ms = now_ms
        try:
            if self._requests is None:
                if now_ms < self.not_before_ms or not (self.must_ask or self.is_due(now_ms)):
                    return
                self._requests = self._make(self)
            if not self._requests.step(now_ms, link):
                self._put_away()
        except MemoryError:
            self._try_later()

    def is_due(self, now_ms):
        """Return whether there is something to do for what is desired or to be reported."""
        if now_ms >= self._next_level_ms:
            self._next_level_ms = now_ms + TWIN_LEVEL_INTERVAL_MS
            for name in self.levels:
                if self._outputs.level(name) != self.levels[name]:
                    self.is_changed = True
        return self.is_changed or now_ms >= self.due_ms or self._settings.revision != self.settings_seen

    def finished(self, asked, status, answer):
        """A command of the desired state is finished. asked: see commands.desired."""
        try:
            self._requests.finished(asked, status, answer)
        except MemoryError:
            self._try_later()
        if not self._is_ready and not self.under_way:
            self._put_away()

    def _try_later(self):
        self.last_error = "the twin finds no memory"
        self.must_ask = True  # whatever was under way: what the hub says is whole
        self.not_before_ms = self._now_ms + TWIN_RETRY_MS
        if not self.under_way:
            self._put_away()

    def _put_away(self):
        self._requests = None
        if compat.is_micropython:
            for name in ("hubs.azure_twin_requests", "hubs.property_bag", "commands.desired", "late_assembly"):
                unload("fieldpost." + name)
