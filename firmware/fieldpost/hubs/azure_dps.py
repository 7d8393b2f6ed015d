"""Azure's Device Provisioning Service over MQTT: a device asks which hub is its own.

Microsoft, "Communicate with the Device Provisioning Service using the MQTT protocol":

    user name   {id scope}/registrations/{registration id}/api-version=2019-03-31
    register    $dps/registrations/PUT/iotdps-register/?$rid=R                               {"registrationId": ...}
    ask         $dps/registrations/GET/iotdps-get-operationstatus/?$rid=R&operationId=O
    answers     $dps/registrations/res/{status}/?$rid=R[&retry-after=N]

A key signs for the registration as it will sign for the device at its hub; one of a group's devices has been derived
on the host, so that no device ever holds the group's key. A certificate proves itself at both.
"""

import json

from fieldpost.compat import is_whole_json
from fieldpost.errors import ClockUnknown
from fieldpost.hubs.azure import AzureDialect
from fieldpost.hubs.properties import quote
from fieldpost.hubs.property_bag import decode
from fieldpost.limits import DPS_ANSWER_MS, DPS_RETRY_MS, DPS_RETRY_MS_MAX

_API_VERSION = "2019-03-31"
_ANSWERS = "$dps/registrations/res/"
_REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid=%d"
_ASK = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=%d&operationId=%s"


class AssignedDialect(AzureDialect):
    """As AzureDialect, of the hub that the service names; until it has, the applicant's.

    store: where the assignment is kept (ports.stored_text). An assignment of another scope or registration is none.
    is_applying: whether the connection is to the service. error: why it assigned nothing, "" while it has not said.
    """

    def __init__(self, provisioning, hub_port, registration_id, key_base64, utc_ms, store):
        super().__init__("", registration_id, key_base64, utc_ms)
        self._service = provisioning["host"], provisioning["port"]
        self._id_scope = provisioning["id_scope"]
        self._registration_id = registration_id
        self._hub_port = hub_port
        self._store = store
        self._assignment = self._read()
        self._request_id = 0
        self.is_applying = False
        self.error = ""
        self.apply()
        self.use_known()

    @property
    def server(self):
        """The (host, port) that the next connection leads to."""
        return self._service if self.is_applying else (self._assignment[0], self._hub_port)

    def apply(self):
        """Ask the service from now on."""
        self.is_applying = True
        self.clean_session = True
        self.client_id = self._registration_id
        self.username = "%s/registrations/%s/api-version=%s" % (self._id_scope, self._registration_id, _API_VERSION)
        self.subscriptions = ((_ANSWERS + "#", 1),)

    def use_known(self):
        """Turn to the hub that was assigned last; return whether there is one."""
        if self._assignment is None:
            return False
        host, device_id = self._assignment
        AzureDialect.__init__(self, host, device_id, self._key, self._utc_ms)
        self.is_applying = False
        self.clean_session = False
        return True

    def password(self):
        """As AzureDialect's, for the service while it is asked."""
        if not self.is_applying or self._key is None:
            return super().password()
        utc_ms = self._utc_ms()
        if utc_ms is None:
            raise ClockUnknown("a token cannot be signed before the time of day is known")
        resource = "%s/registrations/%s" % (self._id_scope, self._registration_id)
        return self._sign(resource, utc_ms) + "&skn=registration"

    # While applying: driven by uplink.assigned

    def begin(self, now_ms):
        """The answers are subscribed to: register."""
        self.error = ""
        self.is_refused = False
        self._operation_id = None
        self._due_ms = now_ms
        self._asked_ms = None

    def step(self, now_ms, link):
        """Send the request that is due; return whether there is an answer: an assignment or an error."""
        if self.error or not self.is_applying:
            return True
        if self._asked_ms is not None:
            if now_ms - self._asked_ms > DPS_ANSWER_MS:
                self.error = "the provisioning service does not answer"
        elif now_ms >= self._due_ms:
            if self._operation_id is None:
                topic = _REGISTER % (self._request_id + 1)
                body = json.dumps({"registrationId": self._registration_id})
            else:
                topic = _ASK % (self._request_id + 1, quote(self._operation_id))
                body = ""
            if link.publish(topic.encode(), body.encode(), 0, False):
                self._request_id += 1
                self._asked_ms = now_ms
        return bool(self.error)

    def answer(self, topic, payload, now_ms):
        """Take a message of the service. topic, payload: memoryviews."""
        try:
            topic = str(topic, "utf-8")
            if not topic.startswith(_ANSWERS):
                return
            status, _, bag = topic[len(_ANSWERS) :].partition("/")
            bag = decode(bag)
            if bag.get("$rid") != str(self._request_id) or self._asked_ms is None:
                return  # to a question that is no longer asked
            self._asked_ms = None
            status = int(status)
            retry_ms = int(bag.get("retry-after") or 0) * 1000 or DPS_RETRY_MS
            self._due_ms = now_ms + min(retry_ms, DPS_RETRY_MS_MAX)
            if status == 429 or status >= 500:
                return  # too many ask, or it is being mended: once more, after the time that it names
            text = str(payload, "utf-8")
            body = json.loads(text) if text and is_whole_json(text) else {}
            if status >= 300:
                self.is_refused = True
                self.error = "the provisioning service refused: %s (%s)" % (
                    _shown(body.get("message")),
                    body.get("errorCode", status),
                )
            elif body.get("status") == "assigning":
                self._operation_id = body["operationId"]
            else:
                self._decided(body["status"], body.get("registrationState") or {})
        except (ValueError, KeyError, AttributeError, TypeError, RuntimeError, MemoryError):
            self.error = "the provisioning service gave an answer that makes no sense"

    def _decided(self, status, state):
        if status != "assigned":
            self.is_refused = True
            reason = state.get("errorMessage")
            self.error = (
                "the provisioning service assigned no hub: " + status + ((reason and ", " + _shown(reason)) or "")
            )
            return
        host, device_id = state["assignedHub"], state["deviceId"]
        if not isinstance(host, str) or not isinstance(device_id, str):
            raise ValueError
        self._assignment = host, device_id
        try:
            self._store.write(json.dumps([self._id_scope, self._registration_id, host, device_id]))
        except OSError:
            pass  # it holds for this boot; the next one asks again
        self.use_known()

    def _read(self):
        """Return the assignment (host, device id) that is kept, None if there is none of this registration."""
        try:
            id_scope, registration_id, host, device_id = json.loads(self._store.read() or "")
        except (ValueError, TypeError):
            return None
        is_mine = (id_scope, registration_id) == (self._id_scope, self._registration_id)
        return (host, device_id) if is_mine and isinstance(host, str) and isinstance(device_id, str) else None


def _shown(text):
    return str(text)[:80].replace("\n", " ")
