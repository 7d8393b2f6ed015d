"""The plain dialect: topics, what the broker says when the device is gone, commands in a body."""

from fieldpost.errors import ClockUnknown, CommandMalformed
from fieldpost.hubs.plain import PlainDialect, Presence
from support import raises

TOPICS = {
    "telemetry": "site/{device_id}/up/{message_id}",
    "commands": "site/{device_id}/down",
    "status": "s/{device_id}",
}
TOPIC = b"site/dev1/down"


def dialect(utc_ms=None):
    return PlainDialect(TOPICS, "dev1", "user", "sesame", utc_ms)


def parse(text, topic=TOPIC):
    return dialect().parse(memoryview(topic), memoryview(text.encode()))


def test_topics_and_credentials():
    hub = dialect()
    assert (hub.client_id, hub.username, hub.password(), hub.password_ms) == ("dev1", "user", "sesame", None)
    assert hub.subscriptions == (("site/dev1/down", 1),)
    assert hub.event_topic("0a0b0c0d-1-40") == b"site/dev1/up/0a0b0c0d-1-40"
    assert hub.will == (b"s/dev1", b"offline", 1, True)
    assert hub.clean_session is False
    assert PlainDialect(TOPICS, "dev1", None, None, None).password() is None


def test_without_a_clock_no_certificate_is_judged():
    with raises(ClockUnknown):
        dialect(lambda: None).password()
    assert dialect(lambda: 1).password() == "sesame"


def test_a_command_stands_in_the_body():
    found = parse('{"id":"c-1","command":"gpio.set","arguments":{"pin":"relay","value":1},"expires":5,"at":3}')
    command_id, name, arguments, expires_ms, proof = found
    assert (command_id, name, expires_ms, proof.sent_ms) == ("c-1", "gpio.set", 5, 3)
    assert arguments == {"pin": "relay", "value": 1} and proof.signature is None
    assert parse('{"command":"ping"}')[:4] == ("", "ping", {}, None)
    assert parse('{"command":"ping"}', b"site/dev2/down") is None


def test_what_is_signed_is_a_text_of_its_own():
    found = parse('{"id":"c-2","expires":5,"sig":"AB","signed":"{\\"command\\":\\"ping\\"}"}')
    assert found[:4] == ("c-2", "ping", {}, 5)
    assert (found[4].signature, found[4].body) == ("AB", b'{"command":"ping"}')
    # What stands beside the signed text is not signed, and does not act.
    assert parse('{"command":"agent.reboot","signed":"{\\"command\\":\\"ping\\"}"}')[1] == "ping"


def test_what_is_no_command_is_told():
    for text, command_id in (
        ("", ""),
        ("[]", ""),
        ("{", ""),
        ('{"id":5,"command":"ping"}', ""),
        ('{"id":"c","command":"ping","expires":"soon"}', "c"),
        ('{"id":"c","command":"ping","expires":true}', "c"),
        ('{"id":"c"}', "c"),
        ('{"id":"c","command":"ping","arguments":[]}', "c"),
        ('{"id":"c","signed":"ping"}', "c"),
        ("\xff", ""),
    ):
        try:
            parse(text)
        except CommandMalformed as error:
            assert error.command_id == command_id, text
        else:
            raise AssertionError(text)


class Link:
    def __init__(self):
        self.sent = []
        self.has_room = False

    def publish(self, topic, payload, packet_id, dup, retain=False):
        if self.has_room:
            self.sent.append((topic, payload, packet_id, retain))
        return self.has_room


def test_online_is_said_once_for_each_connection_when_there_is_room():
    presence, link = Presence(b"s/dev1"), Link()
    presence.step(0, link)
    presence.ready(0)
    presence.step(1, link)
    link.has_room = True
    for _ in range(3):
        presence.step(2, link)
    assert link.sent == [(b"s/dev1", b"online", 0, True)]
    presence.closed()
    presence.step(3, link)
    presence.ready(4)
    presence.step(5, link)
    assert len(link.sent) == 2
