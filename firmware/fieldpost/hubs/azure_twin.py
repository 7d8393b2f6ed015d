"""The device twin of Azure IoT Hub: what the device shall be, and what it says that it is.

Microsoft, "Communicate with an IoT hub using the MQTT protocol", sections on twins: a request carries an id, its
answer comes on $iothub/twin/res/{status}/?$rid={id}. One request is under way at a time. A notice of new desired
properties only makes the twin be asked for: what the hub then says is whole, whatever was missed before.
"""

import json

from fieldpost.compat import is_whole_json
from fieldpost.hubs import properties
from fieldpost.limits import TWIN_ANSWER_MS_MAX, TWIN_RETRY_MS

_ANSWER = "$iothub/twin/res/"
_NOTICE = "$iothub/twin/PATCH/properties/desired/"
_GET = b"$iothub/twin/GET/?$rid=%d"
_REPORT = b"$iothub/twin/PATCH/properties/reported/?$rid=%d"
_NOTHING = 0
_ASKED = 1
_REPORTED = 2


class Twin:
    """A channel of the session (see uplink.session). model: see commands.desired.

    last_error: what the hub had against the last request, or "".
    """

    subscriptions = ((_ANSWER + "#", 0), (_NOTICE + "#", 0))

    def __init__(self, model):
        self._model = model
        self._request_id = 0
        self._under_way = _NOTHING
        self._is_ready = False
        self._must_ask = False
        self._not_before_ms = 0
        self._sent_ms = 0
        self._now_ms = 0
        self.last_error = ""

    def ready(self, now_ms):
        """All subscriptions are granted: ask for everything, notices may have been missed."""
        self._is_ready = self._must_ask = True
        self._not_before_ms = now_ms
        self._model.connected()

    def closed(self):
        """The connection is gone."""
        self._is_ready = False
        self._under_way = _NOTHING

    def take(self, topic, payload):
        """Take a message (topic: str); return whether it was for this channel."""
        if topic.startswith(_NOTICE):
            self._must_ask = True
            return True
        if not topic.startswith(_ANSWER):
            return False
        status, _, bag = topic[len(_ANSWER) :].partition("/")
        try:
            if properties.decode(bag).get("$rid") == str(self._request_id) and self._under_way:
                self._answered(int(status), payload)
        except (ValueError, RuntimeError) as error:
            self._failed("the hub's answer about the twin is malformed: %s" % error)
        return True

    def take_long(self, topic, size):
        """Note that a message of `size` bytes was passed over; return whether it was for this channel."""
        if topic.startswith(_NOTICE):
            self._must_ask = True
            return True
        if not topic.startswith(_ANSWER):
            return False
        # To ask again would change nothing: the next notice, or connection, may.
        self._under_way = _NOTHING
        self.last_error = "the twin takes %d bytes, more than this device can read" % size
        return True

    def step(self, now_ms, link):
        """Ask or report if there is reason to."""
        self._now_ms = now_ms
        if self._under_way and now_ms - self._sent_ms > TWIN_ANSWER_MS_MAX:
            self._failed("the hub does not answer about the twin")
        if self._under_way or not self._is_ready or now_ms < self._not_before_ms:
            return
        if self._must_ask:
            if self._send(link, _GET, b" "):
                self._under_way = _ASKED
                self._must_ask = False
            return
        report = self._model.report(now_ms)
        if report is not None and self._send(link, _REPORT, report):
            self._under_way = _REPORTED

    def _send(self, link, topic, body):
        if not link.publish(topic % (self._request_id + 1), body, 0, False):
            return False
        self._request_id += 1
        self._sent_ms = self._now_ms
        return True

    def _answered(self, status, payload):
        if status // 100 != 2:
            self._failed("the hub refuses the twin's request: status %d" % status)
            return
        if self._under_way == _ASKED:
            text = str(payload, "utf-8")
            twin = json.loads(text)
            if not isinstance(twin, dict) or not is_whole_json(text):
                raise ValueError("no JSON object")
            desired = twin.get("desired")
            self._model.take(desired if isinstance(desired, dict) else {})
        self._under_way = _NOTHING
        self.last_error = ""

    def _failed(self, reason):
        self.last_error = reason
        self._must_ask = self._must_ask or self._under_way == _ASKED
        self._under_way = _NOTHING
        self._not_before_ms = self._now_ms + TWIN_RETRY_MS
