"""Commands in messages from IoT Hub. Loaded when one arrives.

Microsoft, "Communicate with an IoT hub using the MQTT protocol", section "Receive cloud-to-device messages".
"""

import json

from fieldpost.compat import is_whole_json
from fieldpost.errors import CommandMalformed
from fieldpost.hubs.property_bag import decode
from fieldpost.proof import Proof


def parse(devicebound, topic, payload):
    """Return (id, name, arguments, expires_ms, proof) of a command, or None for a message that is none of ours.

    devicebound: how the topics of the device's messages begin (str). topic, payload: memoryviews.

    The command is named by the property `command`, with its arguments as the body or, where that is empty, as
    the property `arguments`; or both stand in the body: {"command": "gpio.set", "arguments": {"pin": "relay",
    "value": 1}}. expires_ms: Unix ms, or None. proof: a Proof of the properties `at` (Unix ms, when it was
    sent) and `sig`, and of the arguments' text. Raises CommandMalformed.
    """
    command_id = correlation_id = ""
    try:
        topic = str(topic, "utf-8")
        if not topic.startswith(devicebound):
            return None
        bag = decode(topic[len(devicebound) :])
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
