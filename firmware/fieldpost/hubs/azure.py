"""Azure IoT Hub over MQTT 3.1.1.

Microsoft, "Communicate with an IoT hub using the MQTT protocol": client id, user name, topics and property
bags; QoS 1 and nothing above.
"""

from fieldpost import compat
from fieldpost.errors import ClockUnknown
from fieldpost.hubs.properties import quote
from fieldpost.limits import SAS_TTL_S
from fieldpost.modules import unload

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
        self.password_ms = None if key_base64 is None else SAS_TTL_S * 1000
        self._utc_ms = utc_ms
        self._events = "devices/%s/messages/events/" % device_id
        self._devicebound = "devices/%s/messages/devicebound/" % device_id
        self.subscriptions = ((self._devicebound + "#", 1),)

    def password(self):
        """Return a fresh token, None with a certificate; raises ClockUnknown while there is no time to go by."""
        utc_ms = self._utc_ms()
        if utc_ms is None:
            raise ClockUnknown("no certificate can be judged, no token signed, before the time of day is known")
        return None if self._key is None else self._sign(self._resource, utc_ms)

    def _sign(self, resource, utc_ms):
        from fieldpost.hubs.azure_sas import token  # needed once an hour

        signed = token(resource, self._key, utc_ms // 1000 + SAS_TTL_S)
        if compat.is_micropython:
            unload("fieldpost.hubs.azure_sas")
            unload("fieldpost.hmac_sha256")
        return signed

    def event_topic(self, message_id):
        """Return the topic (bytes) of a device-to-cloud message of that id."""
        return (self._events + "%24.mid=" + quote(message_id) + "&" + self.event_properties + _OURS).encode()

    def parse(self, topic, payload):
        """Return (id, name, arguments, expires_ms, proof) of a command, or None for a message that is none of ours.

        Raises CommandMalformed. See azure_message.
        """
        from fieldpost.hubs.azure_message import parse  # commands are rare: vocabulary puts it away

        return parse(self._devicebound, topic, payload)

    def command_id(self, topic):
        """Return the message id of a command whose body was passed over, "" if there is none."""
        from fieldpost.hubs.property_bag import decode

        try:
            return decode(topic[len(self._devicebound) :]).get("$.mid") or ""
        except ValueError:
            return ""
