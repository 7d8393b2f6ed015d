"""Direct methods and twins over a link that keeps what is published."""

import json

from commands.world import PINS, Boot
from fieldpost.commands.desired import Desired
from fieldpost.hubs.azure_methods import Methods
from fieldpost.hubs.azure_twin import Twin
from fieldpost.limits import TWIN_ANSWER_MS_MAX, TWIN_REPORT_INTERVAL_MS, TWIN_RETRY_MS

DIRECTIONS = {"relay": "output", "led": "output", "button": "input"}


class Link:
    def __init__(self):
        self.published = []
        self.room = 100

    def publish(self, topic, payload, packet_id, dup):
        assert packet_id == 0
        if not self.room:
            return False
        self.room -= 1
        self.published.append((str(topic, "ascii"), bytes(payload)))
        return True

    def take(self):
        published, self.published = self.published, []
        return published


class Device:
    """Commands with a methods channel, and what its answers were."""

    def __init__(self):
        self.boot = Boot()
        self.link = Link()
        self.methods = Methods(self.boot.commands, "1f-3")
        self.boot.commands.done_callback = lambda token, status, answer: token[0].finished(token[1], status, answer)

    def call(self, name, payload, request_id="7"):
        assert self.methods.take("$iothub/methods/POST/%s/?$rid=%s" % (name, request_id), payload)
        self.boot.run(50)
        self.methods.step(0, self.link)
        return [(topic, json.loads(body)) for topic, body in self.link.take()]


def test_a_method_is_a_command_and_its_answer_is_the_commands():
    device = Device()
    ((topic, answer),) = device.call("gpio.pulse", b'{"pin":"relay","width_ms":20}')
    assert topic == "$iothub/methods/res/200/?$rid=7"
    assert answer == {
        "id": "method-1f-3-0-7",
        "status": "done",
        "command": "gpio.pulse",
        "result": {"pin": "relay", "width_ms": 20},
    }
    assert device.boot.pins["relay"].edges == [1, 0]
    assert [stored["id"] for stored in device.boot.answers] == ["method-1f-3-0-7"], "every command leaves a record"


def test_what_a_method_cannot_do_has_a_status_and_a_reason():
    device = Device()
    cases = (
        ("gpio.set", b'{"pin":"relay","value":7}', 400, "value is 7: expected one of 0, 1"),
        ("no.such", b"null", 404, "no such command"),
        ("ping", b"[1]", 400, "the payload is no JSON object"),
        ("ping", b"{", 400, "the payload is no JSON object"),
        ("ping", b"\xff", 400, "the payload is no JSON object"),
        ("sensor.read", b"", 500, "the hardware failed: there is no reading yet"),
    )
    for number, (name, payload, code, reason) in enumerate(cases):
        ((topic, answer),) = device.call(name, payload, str(number))
        assert topic == "$iothub/methods/res/%d/?$rid=%d" % (code, number), (name, topic)
        assert answer["result"]["reason"].startswith(reason), answer


def test_an_answer_waits_for_room_and_not_for_another_connection():
    device = Device()
    device.link.room = 0
    assert device.call("ping", b"") == []
    device.link.room = 1
    device.methods.step(0, device.link)
    assert len(device.link.take()) == 1
    device.methods.take("$iothub/methods/POST/ping/?$rid=8", b"")
    device.methods.closed()
    device.boot.run()
    device.link.room = 1
    device.methods.step(0, device.link)
    assert device.link.take() == [], "who called is gone"


def test_calls_of_two_connections_are_two_commands_whatever_the_hub_numbers_them():
    device = Device()
    device.call("gpio.toggle", b'{"pin":"relay"}', "1")
    device.methods.closed()
    device.call("gpio.toggle", b'{"pin":"relay"}', "1")
    assert device.boot.pins["relay"].edges == [1, 0]


def test_foreign_topics_are_left_alone():
    device = Device()
    assert not device.methods.take("devices/dev1/messages/devicebound/", b"")
    assert device.methods.take("$iothub/methods/POST/ping/", b""), "without a request id nobody could be answered"
    assert device.call("ping", b"", "9")[0][0].endswith("rid=9")


class StillSettings:
    def __init__(self):
        self.asked = []

    def ask(self, values, version):
        self.asked.append((values, version))

    def status(self):
        return {"sample_interval_ms": 1000, "asked": len(self.asked)}


class TwinDevice:
    """Commands with a twin."""

    def __init__(self):
        self.boot = Boot(settings={name: dict(PINS[name], direction=DIRECTIONS[name]) for name in PINS})
        self.link = Link()
        self.settings = StillSettings()
        pins = {name: {"direction": DIRECTIONS[name]} for name in PINS}
        self.model = Desired(self.boot.commands, self.boot.outputs, pins, self.settings, lambda: {"boot": 3})
        self.twin = Twin(self.model)
        self.boot.commands.done_callback = lambda token, status, answer: token[0].finished(token[1], status, answer)

    def step(self, now_ms=0):
        self.boot.run()
        self.twin.step(now_ms, self.link)
        return self.link.take()

    def answer(self, status, body=b"", request_id=None):
        request_id = self.twin._request_id if request_id is None else request_id
        assert self.twin.take("$iothub/twin/res/%d/?$rid=%d&$version=2" % (status, request_id), body)

    def desire(self, desired, now_ms=0):
        """Connect, or be notified, and get `desired`; return what is reported then."""
        ((topic, _),) = self.step(now_ms)
        assert topic.startswith("$iothub/twin/GET/?$rid="), topic
        self.answer(200, json.dumps({"desired": desired, "reported": {}}).encode())
        ((topic, body),) = self.step(now_ms)
        assert topic.startswith("$iothub/twin/PATCH/properties/reported/?$rid=")
        self.answer(204)
        return json.loads(body)


def test_pins_converge_and_what_came_of_them_is_reported():
    device = TwinDevice()
    device.twin.ready(0)
    reported = device.desire({"pins": {"relay": 1, "button": 1, "pump": 0}, "other": "somebody's", "$version": 4})
    assert reported["device"] == {"boot": 3}
    assert reported["pins"]["relay"] == {"value": 1, "status": "done", "version": 4, "reason": None}
    assert reported["pins"]["button"]["status"] == "refused"
    assert reported["pins"]["button"]["reason"] == "gpio.set is not allowed for pin button"
    assert reported["pins"]["pump"]["reason"].startswith('pin is "pump"')
    assert device.boot.pins["relay"].edges == [1]
    assert device.step(1) == [], "one report is enough"


def test_a_notice_makes_the_twin_be_asked_for_again():
    device = TwinDevice()
    device.twin.ready(0)
    device.desire({"pins": {"relay": 1}, "$version": 1})
    assert device.twin.take("$iothub/twin/PATCH/properties/desired/?$version=2", b'{"pins":{"relay":0},"$version":2}')
    reported = device.desire({"pins": {"relay": 0}, "settings": {"sample_interval_ms": 5}, "$version": 2})
    assert reported["pins"]["relay"] == {"value": 0, "status": "done", "version": 2, "reason": None}
    assert device.settings.asked == [({"sample_interval_ms": 5}, 2)]
    assert device.boot.pins["relay"].edges == [1, 0]


def test_a_pin_that_went_safe_meanwhile_converges_again_with_the_next_connection():
    device = TwinDevice()
    device.twin.ready(0)
    device.desire({"pins": {"relay": 1}, "$version": 1})
    device.twin.closed()
    device.boot.outputs.make_safe(0)
    device.twin.ready(10)
    device.desire({"pins": {"relay": 1}, "$version": 1}, 10)
    assert device.boot.pins["relay"].edges == [1, 0, 1]


def test_a_request_that_is_not_answered_or_refused_is_made_again_later():
    device = TwinDevice()
    device.twin.ready(0)
    assert len(device.step(0)) == 1
    assert device.step(TWIN_ANSWER_MS_MAX) == []
    now_ms = TWIN_ANSWER_MS_MAX + 1
    assert device.step(now_ms) == [] and "does not answer" in device.twin.last_error
    now_ms += TWIN_RETRY_MS
    assert device.step(now_ms)[0][0].startswith("$iothub/twin/GET/")
    device.answer(429)
    assert device.step(now_ms) == [] and device.twin.last_error.endswith("status 429")
    now_ms += TWIN_RETRY_MS
    device.desire({"pins": {}}, now_ms)
    assert device.twin.last_error == ""


def test_malformed_and_late_answers_change_nothing():
    device = TwinDevice()
    device.twin.ready(0)
    device.step(0)
    device.answer(200, b'{"desired":{"pins":{"relay":1}}}', request_id=99)
    assert device.step(1) == [], "an answer to somebody else"
    for number, body in enumerate((b"{", b"[]", b"\xff", b"5")):
        device.answer(200, body)
        assert "malformed" in device.twin.last_error, body
        device.step((number + 1) * 2 * TWIN_RETRY_MS)
    device.answer(200, b'{"desired":[1]}')
    device.step(20 * TWIN_RETRY_MS)
    assert device.boot.pins["relay"].edges == []


def test_the_device_reports_of_itself_now_and_then():
    device = TwinDevice()
    device.twin.ready(0)
    device.desire({})
    assert device.step(TWIN_REPORT_INTERVAL_MS - 1) == []
    assert len(device.step(TWIN_REPORT_INTERVAL_MS)) == 1
