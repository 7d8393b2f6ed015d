"""Commands over every link: acknowledged when they are done, and not before."""

import base64

from host_tools.hub import Hub
from host_tools.hub.mqtt import codec
from tests.contract.links import LINKS
from tests.contract.scripted_peer import Peer

PING = b'{"command": "ping"}'


async def test_a_command_that_found_no_room_is_not_acknowledged_and_comes_again(runner, tmp_path):
    hub = Hub(tmp_path / "hub")
    await hub.start()
    asked = {"dialect": "azure", "ca": base64.b64encode(hub.ca_der).decode(), "path": "/$iothub/websocket"}
    keys = {name: hub.devices.create("dev-" + name).primary_key for name in LINKS}

    async def scenario(name):
        for _ in range(3):
            await hub.send("dev-" + name, PING, {})
        found = await runner.run(name, **asked, port=hub.port, key=keys[name], commands=3, full=1)
        assert found["errors"] == ["the hub shall deliver again what there was no room for"]
        # Two were taken the first time, and their acknowledgements may have come too late for the hub.
        assert found["commands"].count("ping") >= 3 and hub.pending("dev-" + name) == 0

    try:
        await runner.on_every_link(scenario)
    finally:
        await hub.stop()


async def test_what_has_no_topic_of_mqtt_is_acknowledged_and_forgotten(runner, authority):
    """Section 1.5.3: text is UTF-8. Unacknowledged, such a message would stand in the way for ever."""

    class Careless(Peer):
        def on_ready(self, connection):
            connection.send(b"\x32\x07\x00\x02\xff\xfe\x00\x09x")
            connection.send(codec.publish(self.connects[0].client_id + "/commands", PING, 1, False, 8))

    async def scenario(name):
        async with Careless(authority.context()) as peer:
            found = await runner.run(name, port=peer.port, ca=authority.ca, path="/mqtt", commands=1)
            assert found["commands"] == ["ping"] and found["errors"] == []
            assert 9 in peer.pubacks

    await runner.on_every_link(scenario)
