"""A board that proves itself by an EC P-256 certificate, against the local hub: by thumbprint, and by its authority."""

import asyncio
import base64
from pathlib import Path

from host_tools.hub import Hub
from host_tools.hub.devices.registry import CERTIFICATE_AUTHORITY, SELF_SIGNED
from host_tools.provision import device_identity
from host_tools.provision.authority import Authority
from host_tools.provision.inventory import CERTIFICATE, Entry
from tests.board.agent_bench import SSID, board_with_agent


async def test_a_board_delivers_and_obeys_with_a_certificate(hub: Hub, tmp_path: Path, micropython: Path) -> None:
    """Known by its thumbprint first; then by its authority; and refused once the hub expects another one."""
    authority = Authority(tmp_path / "authority")
    issued = authority.issue("shed-1")
    hub.devices.create("shed-1", authentication=SELF_SIGNED, primary_thumbprint=issued.thumbprint)
    entry = Entry("shed-1", hub.hostname, CERTIFICATE, certificate=issued.certificate, private_key=issued.key)
    who = device_identity.identity(entry, [hub.ca_der], {SSID: "any"})
    assert "key" not in who
    assert len(base64.b64decode(who["private_key"])) < 160, "EC P-256, PKCS #8"
    async with board_with_agent(tmp_path, micropython, hub.port, who) as board:
        await board.wait_state(lambda status: status["acked"] >= 5)
        message_id = await hub.send("shed-1", b'{"command":"gpio.set","arguments":{"pin":"relay","value":1}}', {})
        while hub.pending("shed-1"):
            await asyncio.sleep(0.05)
        assert board.pins[26].level == 1
        async with asyncio.timeout(120):
            while not any(message_id.encode() in message.body for message in hub.messages("shed-1")):
                await asyncio.sleep(0.05)

        hub.authorities.add("fieldpost", authority.pem)
        hub.devices.update("shed-1", authentication=CERTIFICATE_AUTHORITY, primary_thumbprint="")
        await board.power_cycle(off_s=0)
        await board.wait_state(lambda status: status["boot"] >= 2 and status["acked"] >= 5)

        hub.devices.update("shed-1", authentication=SELF_SIGNED, primary_thumbprint="AB" * 32)
        await board.power_cycle(off_s=0)
        await board.wait_state(lambda status: status["error"] == "refused: not authorised (5)")
