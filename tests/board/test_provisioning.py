"""A board that is told a service and no hub: it asks, keeps the answer, and asks again when its hub refuses it."""

from pathlib import Path
from typing import Any

import pytest

from host_tools.hub import Hub
from host_tools.provision import device_identity
from host_tools.provision.authority import Authority
from host_tools.provision.inventory import CERTIFICATE, Entry
from host_tools.provision.keys import derive_key
from tests.board.agent_bench import SSID, board_with_agent, identity


def _enrolled(hub: Hub, how: str, folder: Path) -> dict[str, Any]:
    """Enrol shed-1 and return its identity.json."""
    enrollments = hub.provisioning.enrollments
    if how == "key":
        key = enrollments.put("individual", "shed-1", {"device_id": "barn-7"}).primary_key
        return identity("shed-1", [hub.ca_der], key=key)
    if how == "group":
        group_key = enrollments.put("group", "barn", {}).primary_key
        who = identity("shed-1", [hub.ca_der], key=derive_key(group_key, "shed-1"))
        assert group_key not in str(who)
        return who
    issued = Authority(folder / "authority").issue("shed-1")
    enrollments.put("individual", "shed-1", {"certificate": issued.certificate})
    entry = Entry("shed-1", "", CERTIFICATE, certificate=issued.certificate, private_key=issued.key)
    return device_identity.identity(entry, [hub.ca_der], {SSID: "any"})


@pytest.mark.parametrize("how", ["key", "group", "certificate"])
async def test_a_board_asks_for_its_hub(hub: Hub, tmp_path: Path, micropython: Path, how: str) -> None:
    who = _enrolled(hub, how, tmp_path)
    device = "barn-7" if how == "key" else "shed-1"
    service = {"id_scope": hub.provisioning.id_scope, "host": "localhost", "port": hub.port}
    registered: list[str] = []
    register = hub.provisioning.register
    hub.provisioning.register = lambda enrollment, name, chain: (  # type: ignore[method-assign]
        registered.append(name) or register(enrollment, name, chain)  # type: ignore[func-returns-value]
    )
    about = {"provisioning": service}
    async with board_with_agent(tmp_path, micropython, hub.port, who, about) as board:
        await board.wait_state(lambda status: status["acked"] >= 5)
        assert registered == ["shed-1"] and any(True for _ in hub.messages(device))

        # The answer is kept.
        await board.power_cycle(off_s=0)
        await board.wait_state(lambda status: status["boot"] >= 2 and status["acked"] >= 5)
        assert registered == ["shed-1"]


@pytest.mark.exhaustive  # a refused device waits up to a minute before it tries again
async def test_a_board_asks_again_when_its_hub_refuses_it(hub: Hub, tmp_path: Path, micropython: Path) -> None:
    who = _enrolled(hub, "group", tmp_path)
    about = {"provisioning": {"id_scope": hub.provisioning.id_scope, "host": "localhost", "port": hub.port}}
    async with board_with_agent(tmp_path, micropython, hub.port, who, about) as board:
        await board.wait_state(lambda status: status["acked"] >= 5)
        hub.devices.delete("shed-1")
        await board.power_cycle(off_s=0)
        await board.wait_state(lambda status: status["boot"] >= 2 and status["acked"] >= 5, 200)
        assert hub.devices.get("shed-1") is not None
