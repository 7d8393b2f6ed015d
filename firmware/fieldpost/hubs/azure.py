"""Azure IoT Hub over MQTT 3.1.1.

Microsoft, "Communicate with an IoT hub using the MQTT protocol": client id, user name, topics and property
bags; QoS 1 and nothing above.
"""

import json

from fieldpost.compat import is_whole_json
from fieldpost.errors import ClockUnknown, CommandMalformed
from fieldpost.hubs import properties
from fieldpost.limits import SAS_TTL_S
from fieldpost.proof import Proof

_API_VERSION = "2021-04-12"
_OURS = "&fp=1"  # tells the readers of the stream that it is ours


class AzureDialect:
    """One device at one hub. utc_ms: callable, Unix time in ms or None while unknown.

    key_base64: what it signs with, or None for a device that TLS has proved by its certificate already.
    password_ms: how long a password is good for; None is for ever.
    """

    websocket_path = "/$iothub/websocket"
    # $.ct and $.ce let the hub route on the body; the form of the bodies says what they are.
    event_properties = "%24.ct=application%2Fjson&%24.ce=utf-8"
    will = None
    is_judged = True  # by its certificate, whatever the device proves itself by
    # With CleanSession 1 IoT Hub gives a device only what was sent after it subscribed: commands that waited for it
    # to come back would be gone. MQTT 3.1.1 section 4.4 asks for 0, too: what was not acknowledged is sent again.
    clean_session = False

    def __init__(self, host, device_id, key_base64, utc_ms):
        self.client_id = device_id
        self.username = "%s/%s/?api-version=%s" % (host, device_id, _API_VERSION)
        self._resource = "%s/devices/%s" % (host, device_id)
        self._key = key_base64
        self._sign = None
        self.password_ms = None
        if key_base64 is not None:
            from fieldpost.hubs import azure_sas  # memory that a device with a certificate does not need

            self._sign = azure_sas.token
            self.password_ms = SAS_TTL_S * 1000
        self._utc_ms = utc_ms
        self._events = "devices/%s/messages/events/" % device_id
        self._devicebound = "devices/%s/messages/devicebound/" % device_id
        self.subscriptions = ((self._devicebound + "#", 1),)

    def password(self):
        """Return a fresh token, None with a certificate; raises ClockUnknown while there is no time to go by."""
        utc_ms = self._utc_ms()
        if utc_ms is None:
            raise ClockUnknown("no certificate can be judged, no token signed, before the time of day is known")
        return self._sign and self._sign(self._resource, self._key, utc_ms // 1000 + SAS_TTL_S)

    def event_topic(self, message_id):
        """Return the topic (bytes) of a device-to-cloud message of that id."""
        return (self._events + "%24.mid=" + properties.quote(message_id) + "&" + self.event_properties + _OURS).encode()

    def parse(self, topic, payload):
        """Return (id, name, arguments, expires_ms, proof) of a command, or None for a message that is none of ours.

        The command is named by the property `command`, with its arguments as the body or, where that is empty, as
        the property `arguments`; or both stand in the body: {"command": "gpio.set", "arguments": {"pin": "relay",
        "value": 1}}. expires_ms: Unix ms, or None. proof: a Proof of the properties `at` (Unix ms, when it was
        sent) and `sig`, and of the arguments' text. Raises CommandMalformed.
        """
        command_id = correlation_id = ""
        try:
            topic = str(topic, "utf-8")
            if not topic.startswith(self._devicebound):
                return None
            bag = properties.decode(topic[len(self._devicebound) :])
            command_id = bag.get("$.mid") or ""
            correlation_id = bag.get("$.cid") or ""
            expires_ms = expiry_ms(bag.get("$.exp"))
            sent_ms = bag.get("at")
            body = bytes(payload) or (bag.get("arguments") or "").encode()
            proof = Proof(None if sent_ms is None else int(sent_ms), bag.get("sig"), body, correlation_id)
            text = str(body, "utf-8")
            if not is_whole_json(text):
                raise ValueError
            body = json.loads(text) if text else {}
        except (ValueError, RuntimeError, MemoryError):  # nested more deeply, or made of more, than memory allows
            reason = "the body is not JSON, or the properties are malformed"
            raise CommandMalformed(command_id, reason, correlation_id)
        if not isinstance(body, dict):
            raise CommandMalformed(command_id, "the body is no JSON object", correlation_id)
        name = bag.get("command")
        if name is None:
            name = body.get("command")
            body = body.get("arguments", {})
        if not isinstance(name, str) or not isinstance(body, dict):
            raise CommandMalformed(command_id, 'expected {"command": "name", "arguments": {...}}', correlation_id)
        return command_id, name, body, expires_ms, proof

    def command_id(self, topic):
        """Return the message id of a command whose body was passed over, "" if there is none."""
        try:
            return properties.decode(topic[len(self._devicebound) :]).get("$.mid") or ""
        except ValueError:
            return ""


def expiry_ms(text):
    """Return Unix ms of an ISO 8601 time in UTC such as 2026-11-23T16:00:00.000Z, None for None.

    Raises ValueError for anything else: what cannot be understood must not act late.
    """
    if not text:
        return None
    date, _, time_of_day = text.partition("T")
    year, month, day = [int(part) for part in date.split("-")]
    hour, minute, second = time_of_day.rstrip("Z").split(":")
    whole, _, fraction = second.partition(".")
    # Days since 1970 after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
    year -= month <= 2
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    days = era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468
    seconds = ((days * 24 + int(hour)) * 60 + int(minute)) * 60 + int(whole)
    return seconds * 1000 + int((fraction + "000")[:3])
