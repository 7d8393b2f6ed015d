"""DPS in raw packets over real TLS."""

import json
import time

import pytest

from host_tools.errors import UserError
from host_tools.hub.provisioning.enrollments import derived_key
from tests.hub.hub_bench import running
from tests.hub.raw_device import RawDevice, connect, publish, token
from tests.hub.raw_topics import publish_0, subscribe_all, take_event

REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid="
STATUS = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid="


async def applicant(hub, registration, key, scope=None, user_name=None, client_id=None):
    scope = scope or hub.provisioning.id_scope
    device = await RawDevice.dial(hub)
    password = token(key, f"{scope}/registrations/{registration}") + "&skn=registration"
    user_name = user_name or f"{scope}/registrations/{registration}/api-version=2019-03-31&ClientVersion=x%2F1"
    device.send(connect(client_id or registration, password, user_name))
    assert await device.receive() == (0x20, b"\x00\x00")
    device.send(subscribe_all("$dps/registrations/res/#"))
    assert await device.receive() == (0x90, b"\x00\x01\x01")
    return device


async def ask(device, topic, body=b""):
    """Return (status, the rest of the topic, document)."""
    device.send(publish_0(topic, body))
    topic, answer = take_event(await device.receive())
    assert topic.startswith("$dps/registrations/res/")
    status, rest = topic.removeprefix("$dps/registrations/res/").split("/", 1)
    return int(status), rest, json.loads(answer)


def test_the_vendors_example_of_a_derived_key():
    """Microsoft, "Symmetric key attestation"."""
    group_key = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
    expected = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
    assert derived_key(group_key, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6") == expected


def test_a_device_is_told_to_wait_and_then_assigned(run, tmp_path):
    async def scenario():
        now = [time.time()]
        async with running(tmp_path, clock=lambda: now[0]) as hub:
            made = hub.provisioning.enrollments.put("individual", "r1", {"payload": {"a": 1}})
            device = await applicant(hub, "r1", made.primary_key)
            status, rest, document = await ask(device, REGISTER + "7", b'{"registrationId": "r1", "payload": null}')
            assert (status, rest, document["status"]) == (202, "?$rid=7&retry-after=1", "assigning")
            operation = f"8&operationId={document['operationId']}"
            assert (await ask(device, STATUS + operation, b" "))[0] == 202
            now[0] += 1.1
            status, rest, document = await ask(device, STATUS + operation)
            state = document["registrationState"]
            assert (status, rest, document["status"]) == (200, "?$rid=8", "assigned")
            assert (state["deviceId"], state["assignedHub"], state["payload"]) == ("r1", "localhost", {"a": 1})
            assert hub.devices.get("r1").primary_key == made.primary_key
            device.send(publish(REGISTER + "9", b'{"registrationId": "r1"}', 5))
            received = [await device.receive() for _ in range(2)]
            assert (0x40, b"\x00\x05") in received
        async with running(tmp_path) as hub:  # enrollment and scope stay
            device = await applicant(hub, "r1", made.secondary_key)
            assert (await ask(device, REGISTER + "1", b'{"registrationId": "r1"}'))[0] == 202

    run(scenario())


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("wrong key", 401),
        ("wrong scope", 401),
        ("unknown", 401),
        ("another id in the body", 401),
        ("no json", 400),
        ("no id", 400),
        ("deep", 400),
        ("foreign operation", 404),
    ],
)
def test_who_is_not_enrolled_gets_the_status_of_the_real_service(run, tmp_path, how, status):
    async def scenario():
        async with running(tmp_path) as hub:
            made = hub.provisioning.enrollments.put("individual", "r1", {})
            other = hub.provisioning.enrollments.put("individual", "r2", {})
            key = other.primary_key if how == "wrong key" else made.primary_key
            scope = "0ne00000000" if how == "wrong scope" else None
            device = await applicant(hub, "r3" if how == "unknown" else "r1", key, scope)
            bodies = {
                "another id in the body": b'{"registrationId": "r2"}',
                "no json": b"{",
                "no id": b"[]",
                "deep": b"[" * 90_000,
            }
            topic = STATUS + "1&operationId=5.x" if how == "foreign operation" else REGISTER + "1"
            found = await ask(device, topic, bodies.get(how, b'{"registrationId": "r1"}'))
            assert found[0] == status and found[2]["errorCode"] // 1000 == status
            assert hub.devices.list() == []

    run(scenario())


def test_a_disabled_or_failing_enrollment_is_told_and_makes_no_device(run, tmp_path):
    async def scenario():
        now = [time.time()]
        async with running(tmp_path, clock=lambda: now[0]) as hub:
            for document, expected in (({"is_enabled": False}, "disabled"), ({"failure": "full"}, "failed")):
                made = hub.provisioning.enrollments.put("individual", "r1", document)
                device = await applicant(hub, "r1", made.primary_key)
                operation = (await ask(device, REGISTER + "1", b'{"registrationId": "r1"}'))[2]["operationId"]
                now[0] += 2
                _, _, document = await ask(device, f"{STATUS}2&operationId={operation}")
                assert document["status"] == expected and hub.devices.list() == []
            assert document["registrationState"]["errorMessage"] == "full"

    run(scenario())


def test_an_applicant_reaches_nothing_of_the_hub(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            key = hub.devices.create("r1").primary_key
            made = hub.provisioning.enrollments.put("individual", "r1", {})
            for topic in (
                "devices/r1/messages/events/",
                "$iothub/twin/GET/?$rid=1",
                "$dps/registrations/POST/x/?$rid=1",
            ):
                device = await applicant(hub, "r1", made.primary_key)
                device.send(publish(topic, b"{}", 1))
                assert await device.is_closed(), topic
            device = await applicant(hub, "r1", made.primary_key)
            device.send(subscribe_all("devices/r1/messages/devicebound/#"))
            assert await device.receive() == (0x90, b"\x00\x01\x80")
            for client_id, user_name, code in (
                ("r2", f"{hub.provisioning.id_scope}/registrations/r1/api-version=2019-03-31", 2),
                ("r1", f"{hub.provisioning.id_scope}/registrations/r1", 4),
            ):
                device = await RawDevice.dial(hub)
                device.send(connect(client_id, token(key, "x"), user_name))
                assert await device.receive() == (0x20, bytes((0, code)))

    run(scenario())


@pytest.mark.parametrize(
    "document",
    [{"primary_key": "x"}, {"certificate": "x"}, {"colour": 1}, {"desired": []}, {"primary_key": "YQ=="}],
)
def test_an_enrollment_that_cannot_work_is_refused(tmp_path, run, document):
    async def scenario():
        async with running(tmp_path) as hub:
            with pytest.raises(UserError, match="enrollment 'r1'"):
                hub.provisioning.enrollments.put("individual", "r1", document)
            with pytest.raises(UserError):
                hub.provisioning.enrollments.put("group", "a/b", {})
            assert hub.provisioning.enrollments.all() == []

    run(scenario())
