"""Certificates and clocks that are wrong: a server that is not the right one hears nothing, and nothing is lost."""

import base64

import pytest

from host_tools.hub import Hub
from tests.contract.conftest import Authority
from tests.contract.scripted_peer import Peer

RECORDS = 120


@pytest.mark.parametrize(
    "fault",
    [
        {"end_days": -1},  # expired
        {"host": "hub.example"},  # wrong host
        {"begin_days": 1},  # not yet valid: what a board with a clock of the year 2000 sees
        None,  # wrong CA
    ],
    ids=["expired", "wrong-host", "clock-wrong", "wrong-ca"],
)
async def test_a_certificate_that_is_not_right_is_told_and_nothing_said(runner, authority, fault, tmp_path):
    context = Authority(tmp_path).context() if fault is None else authority.context(**fault)

    async def scenario(name):
        async with Peer(context) as peer:
            found = await runner.run(name, port=peer.port, ca=authority.ca, path="/mqtt", errors=1)
            assert found["errors"][0].startswith("certificate not accepted: "), found
            assert found["state"] == "down" and found["pending"] == RECORDS and found["acked"] == 0
            assert peer.connects == [], "no user name and no password left the device"

    await runner.on_every_link(scenario)


async def test_a_clock_that_is_wrong_makes_tokens_that_the_hub_refuses(runner, tmp_path):
    hub = Hub(tmp_path / "hub")
    await hub.start()
    ca = base64.b64encode(hub.ca_der).decode()
    asked = {"dialect": "azure", "ca": ca, "path": "/$iothub/websocket", "port": hub.port}

    async def scenario(name):
        asked_too = {**asked, "key": hub.devices.create("dev-" + name).primary_key}
        found = await runner.run(name, **asked_too, errors=1, clock_s=-86_400)
        assert found["errors"] == ["refused: not authorised (5)"] and found["pending"] == RECORDS
        found = await runner.run(name, **asked_too)
        assert found["pending"] == 0 and found["errors"] == []

    try:
        await runner.on_every_link(scenario)
    finally:
        await hub.stop()
