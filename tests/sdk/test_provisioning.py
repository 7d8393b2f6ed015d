"""Unmodified azure-iot-device is provisioned by the local hub's DPS, and then sends to the hub it was assigned to."""

import json

import pytest

from host_tools.hub.provisioning.enrollments import derived_key
from tests.hub.client_certificates import Authority


async def provisioned(program, hub, registration, **keys):
    """Return what the program says, line by line."""
    names = {"HOST": hub.hostname, "ID_SCOPE": hub.provisioning.id_scope, "REGISTRATION": registration, **keys}
    async with program("provision", hub, **names) as running:
        said = [json.loads(await running.line())]
        if said[0][1] == "assigned":
            said.append(json.loads(await running.line()))
        assert await running.ended() == 0
    return said


@pytest.mark.parametrize("transport", ["mqtt", "websockets"])
async def test_by_a_key_of_its_own_and_again(running_hub, program, request, transport):
    is_web = transport == "websockets"
    async with running_hub(*[request.getfixturevalue("https_port")] if is_web else []) as hub:
        made = hub.provisioning.enrollments.put(
            "individual", "reg-1", {"device_id": "kitchen", "desired": {"interval": 7}}
        )
        keys = {"SYMMETRIC_KEY": made.primary_key, **({"WEBSOCKETS": "1"} if is_web else {})}
        said = await provisioned(program, hub, "reg-1", **keys)
        assert said[0] == ["registered", "assigned", hub.hostname, "kitchen", "initialAssignment"]
        assert said[1][1]["interval"] == 7
        keys["SYMMETRIC_KEY"] = made.secondary_key
        said = await provisioned(program, hub, "reg-1", **keys)
        assert said[0][4] == "reprovisionedToInitialAssignment"
        assert [message.body for message in hub.messages("kitchen")] == [b"hello from kitchen"] * 2


async def test_by_a_key_of_its_group(running_hub, program):
    async with running_hub() as hub:
        hub.provisioning.enrollments.put("group", "another", {})
        made = hub.provisioning.enrollments.put("group", "factory", {"tags": {"line": 3}})
        key = derived_key(made.primary_key, "sn-007")
        said = await provisioned(program, hub, "sn-007", SYMMETRIC_KEY=key)
        assert said[0][1:4] == ["assigned", hub.hostname, "sn-007"]
        assert hub.twins.get("sn-007").tags == {"line": 3}
        assert [message.body for message in hub.messages("sn-007")] == [b"hello from sn-007"]


@pytest.mark.parametrize("kind", ["individual", "group"])
async def test_by_a_certificate(running_hub, program, tmp_path, kind):
    async with running_hub() as hub:
        authority = Authority("factory")
        holder = authority.between("line").device("sn-8")
        certificate, key = holder.files(tmp_path)
        pem = authority.pem if kind == "group" else holder.pem
        hub.provisioning.enrollments.put(kind, "sn-8" if kind == "individual" else "g", {"certificate": pem})
        said = await provisioned(program, hub, "sn-8", CERTIFICATE=str(certificate), KEY=str(key))
        assert said[0][1:4] == ["assigned", hub.hostname, "sn-8"]
        assert len(list(hub.messages("sn-8"))) == 1


async def test_who_is_not_enrolled_is_refused_and_who_fails_is_told(running_hub, program):
    async with running_hub() as hub:
        made = hub.provisioning.enrollments.put("individual", "reg-1", {"failure": "no hub is left"})
        stranger = await provisioned(program, hub, "reg-2", SYMMETRIC_KEY=made.primary_key)
        assert stranger[0][0] == "error" and "401" in stranger[0][2]
        failed = await provisioned(program, hub, "reg-1", SYMMETRIC_KEY=made.primary_key)
        assert failed[0][:2] == ["registered", "failed"] or "failed" in failed[0][2]
        assert hub.devices.get("reg-1") is None and hub.devices.get("reg-2") is None
