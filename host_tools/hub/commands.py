"""What may be sent to a device: the system properties of a command, and the limits of commands and methods.

Microsoft, "IoT Hub quotas and throttling" and "Understand and invoke direct methods from IoT Hub".
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from host_tools.errors import UserError
from host_tools.hub import property_bag, strict_json
from host_tools.hub.devices import feedback, methods

COMMAND_BYTES_MAX: Final = 64 * 1024
MESSAGE_ID_CHARACTERS_MAX: Final = 128
_TOPIC_BYTES_MAX: Final = 65_535
_ACKS: Final = ("none", "positive", "negative", "full")
# What a sender may set, besides message id and expiry.
_SYSTEM: Final = ("correlation-id", "user-id", "content-type", "content-encoding")


def system_properties(
    device_id: str, message_id: str, expiry_unix_s: float | None, further: dict[str, str]
) -> dict[str, str]:
    """Return the system properties of a command by their long names; UserError for one that cannot be set."""
    system = {"message-id": message_id, "to": f"/devices/{device_id}/messages/devicebound"}
    if expiry_unix_s is not None:
        moment = datetime.fromtimestamp(expiry_unix_s, UTC)
        system["absolute-expiry-time"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for name, value in further.items():
        if name not in _SYSTEM:
            raise UserError(f"system property {name!r} cannot be set: use one of {', '.join(_SYSTEM)}")
        system[name] = value
    return system


def check(system: dict[str, str], properties: dict[str, str], body: bytes) -> None:
    """UserError for what no device could be sent."""
    if len(system["message-id"]) > MESSAGE_ID_CHARACTERS_MAX:
        raise UserError(f"a message id has at most {MESSAGE_ID_CHARACTERS_MAX} characters")
    ack = properties.get(feedback.ACK_PROPERTY, "none")
    if ack not in _ACKS:
        raise UserError(f"{feedback.ACK_PROPERTY}={ack}: use one of {', '.join(_ACKS)}")
    try:
        size = len(body) + property_bag.size(system, dict(properties))
        topic_bytes = len(property_bag.encode(system, properties)) + len(system["to"])
    except UnicodeEncodeError as error:
        raise UserError("a property or the message id is not valid text") from error
    # The second limit is MQTT's (1.5.3): percent-encoding may triple what the first one allows.
    if size > COMMAND_BYTES_MAX or topic_bytes > _TOPIC_BYTES_MAX:
        raise UserError(
            f"command of {size} bytes, {topic_bytes} of them on the wire as properties: "
            f"a device takes {COMMAND_BYTES_MAX} with properties of at most 65535 as they are encoded"
        )


def check_method(name: str, payload: bytes, response_timeout_s: float, connect_timeout_s: float) -> None:
    """UserError for a call that no device could get."""
    if not name or len(name) > 100 or any(character in "/+#?$\0" or character.isspace() for character in name):
        raise UserError(f"method name {name[:100]!r}: 1 to 100 characters without blanks and / + # ? $")
    if len(payload) > methods.PAYLOAD_BYTES_MAX:
        raise UserError(f"method payload of {len(payload)} bytes, limit {methods.PAYLOAD_BYTES_MAX}")
    if payload:
        try:
            strict_json.loads(payload)
        except ValueError as error:
            raise UserError(f"the method payload is no JSON: {error}") from error
    if not 0 < response_timeout_s <= methods.TIMEOUT_S_MAX or not 0 <= connect_timeout_s <= methods.TIMEOUT_S_MAX:
        raise UserError(f"a method waits at most {methods.TIMEOUT_S_MAX:g} s for the device and for its answer")
