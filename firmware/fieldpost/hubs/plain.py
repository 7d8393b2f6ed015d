"""Any MQTT 3.1.1 broker: topics by template, user and password, a certificate, or neither.

    telemetry   fieldpost/{device_id}/telemetry/{message_id}    QoS 1, one body of records, as for every hub
    commands    fieldpost/{device_id}/commands                  subscribed to, QoS 1
    status      fieldpost/{device_id}/status                    "online" or "offline", retained

MQTT 3.1.1 has no properties: the message id stands in the topic, and what belongs to a command in its body:

    {"id": "c-1", "command": "gpio.set", "arguments": {"pin": "relay", "value": 1}, "expires": 1795447452000}

`id` names it for ever: the same id acts once. `expires` and `at` (when it was sent) are Unix ms, `cid` is a correlation
id for the answer; all three may be absent. A signed command carries `sig`, and its name and arguments as the text that
was signed (see commands.policy):

    {"id": "c-2", "expires": 1795447452000, "sig": "...", "signed": "{\"command\":\"gpio.set\",\"arguments\":{...}}"}
"""

import json

from fieldpost.compat import is_whole_json
from fieldpost.errors import ClockUnknown, CommandMalformed
from fieldpost.proof import Proof


class PlainDialect:
    """One device at one broker. topics: the configuration's `hub.topics`.

    username, password: texts or None. utc_ms: callable, Unix time in ms or None; None if there is no certificate to
    judge, because there is no TLS.
    """

    clean_session = False  # the broker keeps what is sent meanwhile
    password_ms = None
    websocket_path = "/mqtt"  # brokers that look at it call it so

    def __init__(self, topics, device_id, username, password, utc_ms):
        self.client_id = device_id
        self.username = username
        self._password = password
        self._utc_ms = utc_ms
        self.is_judged = utc_ms is not None
        self._telemetry = topics["telemetry"].replace("{device_id}", device_id)
        commands = topics["commands"].replace("{device_id}", device_id)
        self._commands = commands.encode()
        self.subscriptions = ((commands, 1),)
        self.status_topic = topics["status"].replace("{device_id}", device_id).encode()
        self.will = (self.status_topic, b"offline", 1, True)

    def password(self):
        """Return the password, if there is one; raises ClockUnknown while a certificate cannot be judged."""
        if self._utc_ms is not None and self._utc_ms() is None:
            raise ClockUnknown("no certificate can be judged before the time of day is known")
        return self._password

    def event_topic(self, message_id):
        """Return the topic (bytes) of a message with records."""
        return self._telemetry.replace("{message_id}", message_id).encode()

    def parse(self, topic, payload):
        """Return (id, name, arguments, expires_ms, proof) of a command, or None for a message that is none of ours.

        Raises CommandMalformed.
        """
        if topic != self._commands:
            return None
        command_id = correlation_id = ""
        try:
            body = _object(str(payload, "utf-8"))
            command_id = _of(body, "id", str) or ""
            correlation_id = _of(body, "cid", str) or ""
            expires_ms = _of(body, "expires", int)
            signature = _of(body, "sig", str)
            signed = _of(body, "signed", str)
            sent_ms = _of(body, "at", int)
            if signed is not None:
                body = _object(signed)
        except (ValueError, RuntimeError, MemoryError):  # nested more deeply, or made of more, than memory allows
            raise CommandMalformed(command_id, "the body is no JSON object, or a part of it is of the wrong type")
        name = body.get("command")
        arguments = body.get("arguments", {})
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise CommandMalformed(command_id, 'expected {"id": "...", "command": "name", "arguments": {...}}')
        proof = Proof(sent_ms, signature, (signed or "").encode(), correlation_id)
        return command_id, name, arguments, expires_ms, proof

    def command_id(self, topic):
        """Return "": the id stands in the body, which was passed over."""
        return ""


class Presence:
    """A channel of the session (see uplink.session) that says "online"; "offline" is the will's to say."""

    subscriptions = ()

    def __init__(self, topic):
        self._topic = topic
        self._is_due = False

    def ready(self, now_ms):
        """All subscriptions are granted: from now on commands arrive."""
        self._is_due = True

    def closed(self):
        """The connection is gone, and the broker knows it."""
        self._is_due = False

    def take(self, topic, payload):
        """Nothing arrives here."""
        return False

    def take_long(self, topic, size):
        """Nothing arrives here."""
        return False

    def finished(self, what, status, answer):
        """Nothing was asked here."""

    def step(self, now_ms, link):
        """Say it once, when there is room."""
        if self._is_due and link.publish(self._topic, b"online", 0, False, True):
            self._is_due = False


def _object(text):
    """Return the JSON object that a text is; ValueError if it is none."""
    value = json.loads(text) if text and is_whole_json(text) else None
    if not isinstance(value, dict):
        raise ValueError
    return value


def _of(body, key, kind):
    """Return what stands under `key`, None if it is absent; ValueError if it is of another kind."""
    value = body.get(key)
    if value is not None and type(value) is not kind:
        raise ValueError
    return value
