"""The device twin of Azure IoT Hub: what the device shall be, and what it says that it is.

Microsoft, "Communicate with an IoT hub using the MQTT protocol", sections on twins: a request carries an id, its
answer comes on $iothub/twin/res/{status}/?$rid={id}. One request is under way at a time. A notice of new desired
properties only makes the twin be asked for: what the hub then says is whole, whatever was missed before.
"""

import json

from fieldpost.compat import is_whole_json
from fieldpost.hubs.property_bag import decode
from fieldpost.limits import DESIRED_WAIT_MS, TWIN_ANSWER_MS_MAX, TWIN_RETRY_MS

_GET = b"$iothub/twin/GET/?$rid=%d"
_REPORT = b"$iothub/twin/PATCH/properties/reported/?$rid=%d"
_NOTHING = 0
_ASKED = 1
_REPORTED = 2


class TwinRequests:
    """channel: a Twin, which outlives this (see azure_twin). model: see commands.desired."""

    def __init__(self, channel, model):
        self.finished = model.finished
        self._channel = channel
        self._model = model
        self._under_way = _NOTHING
        self._sent_ms = 0
        self._now_ms = 0

    def closed(self):
        """The request that is under way will not be answered."""
        self._under_way = _NOTHING

    def answered(self, answer, payload, size):
        """Take what the hub says. answer: the topic behind "res/". size: of a payload passed over, 0 if none was."""
        if size:
            # To ask again would change nothing: the next notice, or connection, may.
            self._under_way = _NOTHING
            self._channel.last_error = "the twin takes %d bytes, more than this device can read" % size
            return
        try:
            status, _, bag = answer.partition("/")
            if self._under_way and decode(bag).get("$rid") == str(self._channel.request_id):
                self._take(int(status), payload)
        except (ValueError, RuntimeError) as error:
            self._failed("the hub's answer about the twin is malformed: %s" % error)
        except MemoryError:
            self._failed("the hub's answer about the twin finds no memory")

    def step(self, now_ms, link):
        """Ask or report if there is reason to; return whether something is under way, or soon will be."""
        channel = self._channel
        self._now_ms = now_ms
        if channel.is_new:
            channel.is_new = False
            self._model.connected()
        if self._under_way and now_ms - self._sent_ms > TWIN_ANSWER_MS_MAX:
            self._failed("the hub does not answer about the twin")
        if not self._under_way and now_ms >= channel.not_before_ms:
            if not channel.must_ask:
                self._report(link)
            elif self._send(link, _GET, b" "):
                self._under_way = _ASKED
                channel.must_ask = False
        return self._under_way or channel.must_ask or not self._model.is_at_rest(now_ms)

    def _report(self, link):
        report = self._model.report(self._now_ms)
        if report is None:
            return
        if self._send(link, _REPORT, report):
            self._under_way = _REPORTED
            self._model.reported()
        else:
            # Composing it takes longer than looking for room.
            self._channel.not_before_ms = self._now_ms + DESIRED_WAIT_MS

    def _send(self, link, topic, body):
        channel = self._channel
        if not link.publish(topic % (channel.request_id + 1), body, 0, False):
            return False
        channel.request_id += 1
        self._sent_ms = self._now_ms
        return True

    def _take(self, status, payload):
        if status // 100 != 2:
            self._failed("the hub refuses the twin's request: status %d" % status)
            return
        if self._under_way == _ASKED:
            text = str(payload, "utf-8")
            twin = json.loads(text)
            if not isinstance(twin, dict) or not is_whole_json(text):
                raise ValueError("no JSON object")
            desired = twin.get("desired")
            if not self._model.take(desired if isinstance(desired, dict) else {}):
                self._failed("too many commands wait for the desired settings to be one of them")
                return
        self._under_way = _NOTHING
        self._channel.last_error = ""

    def _failed(self, reason):
        channel = self._channel
        channel.last_error = reason
        channel.must_ask = channel.must_ask or self._under_way == _ASKED
        channel.not_before_ms = self._now_ms + TWIN_RETRY_MS
        self._under_way = _NOTHING
