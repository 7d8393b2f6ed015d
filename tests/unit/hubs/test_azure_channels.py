"""Direct methods and twins over a link that keeps what is published."""

import json
import sys

from commands.world import PINS, Boot
from fieldpost.commands.kept_settings import KeptSettings
from fieldpost.commands.policy import Policy
from fieldpost.compat import is_micropython
from fieldpost.hubs.azure_methods import Methods
from fieldpost.hubs.azure_twin import Twin
from fieldpost.limits import (
    COMMANDS_QUEUED_MAX,
    TWIN_ANSWER_MS_MAX,
    TWIN_LEVEL_INTERVAL_MS,
    TWIN_REPORT_INTERVAL_MS,
    TWIN_RETRY_MS,
)

NO_POLICY = {"allow": None, "per_minute": None, "signed": None, "age_s_max": None, "safe_after_s": None}
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
        "via": "method",
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


def test_a_payload_that_is_too_long_is_answered():
    device = Device()
    assert device.methods.take_long("$iothub/methods/POST/gpio.set/?$rid=5", 70_000)
    device.boot.run()
    device.methods.step(0, device.link)
    ((topic, body),) = device.link.take()
    assert topic == "$iothub/methods/res/400/?$rid=5"
    assert json.loads(body)["result"]["reason"] == "a payload of 70000 bytes is too long for this device"
    assert device.boot.answers[0]["via"] == "method"
    assert not device.methods.take_long("devices/dev1/messages/devicebound/", 70_000)


def test_calls_that_find_no_room_are_told_at_once_and_counted_in_a_record():
    device = Device()
    for number in range(COMMANDS_QUEUED_MAX + 5):
        device.methods.take("$iothub/methods/POST/ping/?$rid=%d" % number, b"")
    device.methods.step(0, device.link)
    assert [topic.split("/")[3] for topic, _ in device.link.take()] == ["429"] * 5
    device.boot.run()
    device.boot.commands.step(device.boot.now_ms)
    assert len(device.boot.answers) == COMMANDS_QUEUED_MAX + 1
    assert device.boot.answers[-1]["result"]["reason"] == "too many commands waited: 5 found no room"
    device.boot.commands.step(device.boot.now_ms)
    assert len(device.boot.answers) == COMMANDS_QUEUED_MAX + 1


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


def test_a_call_that_finds_no_memory_is_counted_in_a_record():
    device = Device()

    def no_memory(name):
        raise MemoryError

    device.boot.commands.knows = no_memory
    assert device.call("gpio.toggle", b'{"pin":"relay"}', "1") == []
    assert device.boot.answers[-1]["result"]["reason"] == "too many commands waited: 1 found no room"
    assert device.boot.pins["relay"].edges == []


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


class Store:
    text = None

    def read(self):
        return self.text

    def write(self, text):
        self.text = text


class TwinDevice:
    """Commands with a twin."""

    def __init__(self, policy=None, **limits):
        settings = {name: dict(PINS[name], direction=DIRECTIONS[name]) for name in PINS}
        settings["relay"].update(limits)
        self.boot = Boot(settings=settings, policy=policy)
        self.link = Link()
        self.applied = []
        self.store = Store()
        self.settings = KeptSettings(self._make_settings, False)
        self.boot.context.settings = self.settings.open
        self.pins = {name: {"direction": DIRECTIONS[name]} for name in PINS}
        self.methods = Methods(self.boot.commands, "1f-3")
        self.loads = 0
        self.scarce_loads = 0  # those that will find no memory
        self.twin = Twin(self.boot.outputs, self.settings, self._make_twin)
        self.boot.commands.done_callback = lambda token, status, answer: token[0].finished(token[1], status, answer)

    def _make_settings(self):
        from fieldpost.commands.settings import Settings

        defaults = {"sample_interval_ms": 1000, "batch_age_ms": 0, "batch_records": 1}
        return Settings(self.store, defaults, self.applied.append, lambda: (0, 0), {"bme280": True})

    def _make_twin(self, channel):
        from fieldpost.commands.desired import Desired
        from fieldpost.hubs.azure_twin_requests import TwinRequests

        if self.scarce_loads:
            self.scarce_loads -= 1
            raise MemoryError
        self.loads += 1
        commands, outputs = self.boot.commands, self.boot.outputs
        return TwinRequests(channel, Desired(commands, outputs, self.pins, self.settings, lambda: {"boot": 3}, channel))

    def step(self, now_ms=0):
        self.boot.run()
        self.settings.step(now_ms)
        self.twin.step(now_ms, self.link)
        return self.link.take()

    def answer(self, status, body=b"", request_id=None):
        request_id = self.twin.request_id if request_id is None else request_id
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
    assert reported["pins"]["pump"]["value"] is None and reported["pins"]["button"]["value"] == 0
    assert device.boot.pins["relay"].edges == [1]
    assert device.step(1) == [], "one report is enough"
    assert [(answer["via"], answer["command"]) for answer in device.boot.answers] == [("twin", "gpio.set")] * 3


def test_a_notice_makes_the_twin_be_asked_for_again():
    device = TwinDevice()
    device.twin.ready(0)
    device.desire({"pins": {"relay": 1}, "$version": 1})
    assert device.twin.take("$iothub/twin/PATCH/properties/desired/?$version=2", b'{"pins":{"relay":0},"$version":2}')
    reported = device.desire({"pins": {"relay": 0}, "settings": {"sample_interval_ms": 5}, "$version": 2})
    assert reported["pins"]["relay"] == {"value": 0, "status": "done", "version": 2, "reason": None}
    assert reported["settings"]["status"] == "refused" and reported["settings"]["version"] == 2
    assert reported["settings"]["reason"].startswith("sample_interval_ms is 5: expected an integer from 50")
    assert device.boot.pins["relay"].edges == [1, 0]


def test_desired_settings_are_a_command_with_its_record_and_its_permission():
    for policy, status, reason in (
        (None, "trial", None),
        (Policy(dict(NO_POLICY, allow=["gpio.set"]), None, "dev1"), "refused", "agent.config is not on this device's"),
    ):
        device = TwinDevice(policy)
        device.twin.ready(0)
        reported = device.desire({"settings": {"sample_interval_ms": 500}, "$version": 7})["settings"]
        assert (reported["status"], reported["version"]) == (status, 7)
        assert (reported["reason"] or "").startswith(reason or "")
        assert [(answer["via"], answer["command"]) for answer in device.boot.answers] == [("twin", "agent.config")]
        assert len(device.applied) == (1 if status == "trial" else 0)
        device.twin.closed()
        device.twin.ready(1)
        device.desire({"settings": {"sample_interval_ms": 500}, "$version": 7}, 1)
        assert len(device.boot.answers) == 1, "the same at the next connection is no new command"


def test_a_pin_that_may_not_move_yet_waits_and_says_so_once():
    device = TwinDevice(off_min_ms=5000)
    device.twin.ready(0)
    reported = device.desire({"pins": {"relay": 1}, "$version": 1})
    relay = reported["pins"]["relay"]
    assert (relay["value"], relay["status"], relay["reason"]) == (0, "waiting", "relay must rest for 5000 ms more")
    for now_ms in range(100, 5000, 100):
        device.boot.now_ms = now_ms
        assert device.step(now_ms) == [] and device.boot.answers == []
    device.boot.now_ms = 6000
    device.step(6000)
    ((_, body),) = device.step(6000)
    assert json.loads(body)["pins"]["relay"] == {"value": 1, "status": "done", "version": 1, "reason": None}
    assert device.boot.pins["relay"].edges == [1] and len(device.boot.answers) == 1


def test_a_refusal_that_another_moment_may_change_is_asked_again_ever_more_seldom():
    device = TwinDevice(Policy(dict(NO_POLICY, per_minute=1), None, "dev1"))
    device.twin.ready(0)
    device.desire({"pins": {"relay": 1, "led": 0, "pump": 1}, "$version": 1})
    asked = len(device.boot.answers)
    assert device.boot.pins["relay"].level + 1 - device.boot.pins["led"].level == 1
    for now_ms in range(0, 600_000, 1000):
        device.boot.now_ms = now_ms
        for _, _ in device.step(now_ms):
            device.answer(204)
    assert device.boot.pins["relay"].level == 1 and device.boot.pins["led"].level == 0
    assert len(device.boot.answers) == asked + 1, "what can never be is not asked for again"


def test_the_level_that_a_pin_has_is_told_whoever_changed_it():
    device = TwinDevice()
    device.twin.ready(0)
    device.desire({"pins": {"relay": 1}, "$version": 1})
    device.boot.outputs.make_safe(0)
    ((_, body),) = device.step(TWIN_LEVEL_INTERVAL_MS)
    assert json.loads(body)["pins"]["relay"]["value"] == 0
    device.answer(204)
    assert device.step(3 * TWIN_LEVEL_INTERVAL_MS) == [], "that is no reason to turn it over again"
    assert device.twin.take("$iothub/twin/PATCH/properties/desired/?$version=2", b"")
    reported = device.desire({"pins": {}, "$version": 2}, 3 * TWIN_LEVEL_INTERVAL_MS)
    assert reported["pins"] == {"relay": None}


def test_a_twin_that_is_too_long_is_told_and_not_asked_for_again_and_again():
    device = TwinDevice()
    device.twin.ready(0)
    device.step(0)
    assert device.twin.take_long("$iothub/twin/res/200/?$rid=1", 9000)
    assert device.twin.last_error == "the twin takes 9000 bytes, more than this device can read"
    device.step(1)
    device.answer(204)
    for now_ms in range(2, 10 * TWIN_RETRY_MS, 1000):
        assert device.step(now_ms) == []
    assert device.twin.take_long("$iothub/twin/PATCH/properties/desired/?$version=2", 9000)
    assert device.step(11 * TWIN_RETRY_MS)[0][0].startswith("$iothub/twin/GET/")
    assert not device.twin.take_long("devices/dev1/messages/devicebound/", 9000)


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


def test_settings_that_lie_deeper_pass_through_the_command_whole():
    device = TwinDevice()
    device.twin.ready(0)
    settings = {"sensors": {"bme280": {"interval_ms": 500}}, "thresholds": {"temperature": {"above": 30}}}
    reported = device.desire({"settings": settings, "$version": 3})["settings"]
    assert (reported["status"], reported["reason"]) == ("trial", None)
    assert device.applied[-1]["sensors"] == settings["sensors"]
    assert device.applied[-1]["thresholds"] == settings["thresholds"]


def is_loaded():
    """Whether what works for a twin is there; where memory is plenty, it stays."""
    return "fieldpost.hubs.azure_twin_requests" in sys.modules or "fieldpost.commands.desired" in sys.modules


def test_what_works_for_the_twin_is_there_only_while_it_works():
    device = TwinDevice()
    device.twin.ready(0)
    device.desire({"pins": {"relay": 1}, "$version": 1})
    device.step(0)
    assert device.loads == 1 and is_loaded() != is_micropython
    for now_ms in range(0, TWIN_REPORT_INTERVAL_MS, 1000):
        assert device.step(now_ms) == []
    assert device.loads == 1
    device.answer(200, b'{"desired":{}}')
    assert device.step(TWIN_REPORT_INTERVAL_MS - 1) == [], "nothing was asked"
    ((topic, body),) = device.step(TWIN_REPORT_INTERVAL_MS)
    assert topic.endswith("rid=3") and device.loads == 2, "an answer to an earlier request is none to this one"
    assert json.loads(body)["pins"]["relay"] == {"value": 1, "status": "done", "version": 1, "reason": None}
    device.answer(204)
    device.step(TWIN_REPORT_INTERVAL_MS)
    assert is_loaded() != is_micropython
    assert device.twin.take("$iothub/twin/PATCH/properties/desired/?$version=2", b"")
    device.desire({"pins": {"relay": 0}, "$version": 2}, TWIN_REPORT_INTERVAL_MS)
    assert device.boot.pins["relay"].edges == [1, 0] and len(device.boot.answers) == 2


def test_the_twin_waits_for_memory():
    device = TwinDevice()
    device.scarce_loads = 2
    device.twin.ready(0)
    for now_ms in range(0, 2 * TWIN_RETRY_MS, 1000):
        assert device.step(now_ms) == []
    assert device.twin.last_error == "the twin finds no memory"
    device.desire({"pins": {"relay": 1}, "$version": 1}, 2 * TWIN_RETRY_MS)
    assert device.boot.pins["relay"].edges == [1] and device.twin.last_error == ""


def test_memory_that_runs_out_at_work_costs_time_and_nothing_else():
    device = TwinDevice()
    device.twin.ready(0)
    device.step(0)
    submit = device.boot.commands.submit
    failures = [MemoryError, MemoryError]

    def scarce(*command):
        if failures:
            raise failures.pop()
        return submit(*command)

    device.boot.commands.submit = scarce
    device.answer(200, b'{"desired":{"pins":{"relay":1,"led":0},"$version":1}}')
    assert device.twin.last_error == "the hub's answer about the twin finds no memory"
    reported = {}
    for now_ms in range(0, 10 * TWIN_RETRY_MS, 1000):
        for topic, body in device.step(now_ms):
            if "/GET/" in topic:
                device.answer(200, b'{"desired":{"pins":{"relay":1,"led":0},"$version":1}}')
            else:
                device.answer(204)
                reported = json.loads(body)["pins"]
    assert [reported[name]["status"] for name in ("relay", "led")] == ["done", "done"]
    assert device.boot.pins["relay"].edges == [1] and device.boot.pins["led"].edges == [0]
    assert len(device.boot.answers) == 2, "each acts once"


def test_a_connection_that_goes_takes_nothing_with_it():
    device = TwinDevice()
    device.twin.ready(0)
    device.step(0)
    device.answer(200, b'{"desired":{"pins":{"relay":1},"settings":{"sample_interval_ms":5},"$version":1}}')
    device.twin.closed()
    assert is_loaded(), "what is under way is waited for"
    device.boot.run()
    device.settings.step(0)
    assert is_loaded() != is_micropython, "the memory is for the next handshake"
    device.twin.ready(10)
    reported = device.desire({"pins": {"relay": 1}, "settings": {"sample_interval_ms": 5}, "$version": 1}, 10)
    assert reported["pins"]["relay"]["status"] == "done" and reported["settings"]["status"] == "refused"
    assert device.boot.pins["relay"].edges == [1] and len(device.boot.answers) == 2, "nothing is done twice"


def test_a_report_waits_for_room_on_the_link():
    device = TwinDevice()
    device.twin.ready(0)
    device.desire({"pins": {"relay": 1}, "$version": 1})
    device.twin.take("$iothub/twin/PATCH/properties/desired/?$version=2", b"")
    device.step(0)
    device.answer(200, b'{"desired":{"$version":2}}')
    device.link.room = 0
    for now_ms in range(0, 5000, 500):
        assert device.step(now_ms) == []
    device.link.room = 1
    ((_, body),) = device.step(6000)
    assert json.loads(body)["pins"] == {"relay": None}


def test_desired_settings_that_find_no_room_among_the_commands_are_asked_for_again():
    device = TwinDevice()
    for number in range(COMMANDS_QUEUED_MAX):
        device.boot.send("id-%d" % number, "ping", token=(device.methods, (1, "", True)))
    device.twin.ready(0)
    device.twin.step(0, device.link)
    device.answer(200, b'{"desired":{"settings":{"sample_interval_ms":500},"$version":1}}')
    assert device.twin.last_error.startswith("too many commands wait") and device.applied == []
    device.link.take()
    reported = device.desire({"settings": {"sample_interval_ms": 500}, "$version": 1}, TWIN_RETRY_MS)
    assert reported["settings"]["status"] == "trial" and len(device.applied) == 1
