"""One device that asks to be provisioned, over MQTT.

Microsoft, "Communicate with the Device Provisioning Service using the MQTT protocol". Credentials are judged when
the device registers: the real service accepts the CONNECT and answers 401 then.

    user name   {id scope}/registrations/{registration id}/api-version=2019-03-31
    register    $dps/registrations/PUT/iotdps-register/?$rid=R
    ask         $dps/registrations/GET/iotdps-get-operationstatus/?$rid=R&operationId=O
    answers     $dps/registrations/res/{status}/?$rid=R[&retry-after=N]
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from host_tools.hub.devices.identity import MALFORMED_CREDENTIALS, WRONG_CLIENT_ID, Refused
from host_tools.hub.devices.twins import iso_time
from host_tools.hub.mqtt import codec
from host_tools.hub.mqtt.delivery import Wire
from host_tools.hub.provisioning.service import ProvisioningRefused

if TYPE_CHECKING:
    from host_tools.hub.hub import Hub

log = logging.getLogger("fieldpost.hub")

RESPONSES_FILTER: Final = "$dps/registrations/res/#"
BODY_BYTES_MAX: Final = 96 * 1024
_USER_NAME: Final = re.compile(r"([^/]+)/registrations/([^/]+)/\??((?:[^/]*&)?api-version=[^/]*)")
_REQUEST: Final = re.compile(
    r"\$dps/registrations/(?:PUT/(?P<register>iotdps-register)|GET/iotdps-get-operationstatus)/\?(?P<query>.*)"
)


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who a CONNECT says that it is, and what it shows for it; nothing has been checked."""

    scope_id: str
    registration_id: str
    token: str
    chain: list[bytes]


def applicant(connect: codec.Connect, chain: list[bytes]) -> Applicant | None:
    """Return the applicant that a CONNECT is of, None if it is for the hub itself; raises Refused."""
    if connect.user_name is None or "/registrations/" not in connect.user_name or connect.protocol_level != 4:
        return None
    found = _USER_NAME.fullmatch(connect.user_name)
    if found is None:
        raise Refused(MALFORMED_CREDENTIALS, "user name is not scope/registrations/id/api-version=...")
    if connect.client_id != found[2]:
        raise Refused(WRONG_CLIENT_ID, f"client id {connect.client_id!r} is not the registration of the user name")
    token = (connect.password or b"").decode("utf-8", "replace")
    return Applicant(found[1], found[2], token, chain)


class ProvisioningSession:
    """One applicant on one connection. It is always clean."""

    is_resumed = False
    takes_methods = False

    def __init__(self, hub: Hub, who: Applicant, wire: Wire) -> None:
        self.device_id = f"registration {who.registration_id}"
        self._hub = hub
        self._who = who
        self._wire = wire
        self._is_subscribed = False

    def begin(self) -> None:
        """CONNACK is on its way."""

    def deliver(self) -> None:
        """Nothing waits for an applicant."""

    def end(self, is_graceful: bool) -> None:
        """The connection is gone."""

    def handle(self, packet: codec.Packet) -> None:
        """Act on a packet that is neither CONNECT nor DISCONNECT; raises ProtocolError."""
        match packet:
            case codec.Publish():
                self._publish(packet)
            case codec.Subscribe():
                codes = [
                    min(qos, 1) if topic == RESPONSES_FILTER else codec.SUBSCRIPTION_REFUSED
                    for topic, qos in packet.topics
                ]
                self._is_subscribed = self._is_subscribed or any(code < 2 for code in codes)
                self._wire.write(codec.suback(packet.packet_id, codes))
            case codec.Unsubscribe():
                self._is_subscribed = self._is_subscribed and RESPONSES_FILTER not in packet.topics
                self._wire.write(codec.unsuback(packet.packet_id))
            case codec.PingRequest():
                self._wire.write(codec.pingresp())
            case codec.PubAck():
                pass
            case _:
                raise codec.ProtocolError("second CONNECT (3.1)")

    def _publish(self, publish: codec.Publish) -> None:
        if publish.qos == 2:
            raise codec.ProtocolError("QoS 2 is not supported")
        found = _REQUEST.fullmatch(publish.topic)
        if found is None:
            raise codec.ProtocolError(f"publish to {publish.topic[:200]!r}, which DPS does not have")
        if len(publish.payload) > BODY_BYTES_MAX:
            raise codec.ProtocolError(f"registration of {len(publish.payload)} bytes, limit {BODY_BYTES_MAX}")
        # Ids may hold a percent sign or a plus; they are taken as they are.
        query = dict(part.partition("=")[::2] for part in found["query"].split("&"))
        if publish.packet_id:
            self._wire.write(codec.puback(publish.packet_id))
        try:
            status, document = self._answer(bool(found["register"]), query, publish.payload)
        except ProvisioningRefused as refused:
            log.warning("%s: %d: %s", self.device_id, refused.code, refused)
            status = refused.status
            document = {
                "errorCode": refused.code,
                "trackingId": str(uuid.uuid4()),
                "message": "Unauthorized" if status == 401 else str(refused),
                "timestampUtc": iso_time(self._hub.clock()),
            }
        self._respond(status, query.get("$rid", "")[:256], document)

    def _answer(self, is_registration: bool, query: dict[str, str], payload: bytes) -> tuple[int, dict[str, Any]]:
        who, service = self._who, self._hub.provisioning
        enrollment = service.authenticate(who.scope_id, who.registration_id, who.token, who.chain)
        if not is_registration:
            return service.status(query.get("operationId", ""), who.registration_id)
        try:
            given = json.loads(payload)
            registration_id = given["registrationId"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ProvisioningRefused(400, 400004, "the body is no JSON object with registrationId") from None
        if registration_id != who.registration_id:
            raise ProvisioningRefused(401, 401002, "registrationId is not that of the connection")
        operation_id = service.register(enrollment, who.registration_id, who.chain)
        return 202, {"operationId": operation_id, "status": "assigning"}

    def _respond(self, status: int, request_id: str, document: dict[str, Any]) -> None:
        if not self._is_subscribed:
            return
        wait = f"&retry-after={self._hub.provisioning.retry_after_s}" if status == 202 else ""
        topic = f"$dps/registrations/res/{status}/?$rid={request_id}{wait}"
        self._wire.write(codec.publish(topic, json.dumps(document).encode(), 0, False, 0))
