"""A hub that restarts under devices that publish: they find it again by themselves, and nothing is lost."""

import asyncio
import base64

from host_tools.hub import Hub
from tests.contract.links import LINKS, all_of, numbers


async def test_a_hub_that_restarts_under_load_is_found_again(runner, tmp_path):
    hub = Hub(tmp_path / "hub")
    await hub.start()
    port, ca = hub.port, base64.b64encode(hub.ca_der).decode()
    keys = {name: hub.devices.create("dev-" + name).primary_key for name in LINKS}
    records = {}

    async def scenario(name):
        asked = {"dialect": "azure", "key": keys[name], "ca": ca, "path": "/$iothub/websocket", "port": port}
        found = await runner.run(name, **asked, records=1000, live_ms=50, commands=1, seconds=60)
        assert found["pending"] == 0 and found["acked"] == found["records"] > 1000
        assert "connection lost" in found["errors"] or "nobody listens there" in found["errors"], found
        records[name] = found["records"]

    def newest():
        return [max([0, *(message.sequence for message in hub.messages("dev-" + name))]) for name in LINKS]

    async def until_all_have_published_after(sequence):
        while min(newest()) <= sequence:
            assert not devices.done(), devices.result()
            await asyncio.sleep(0.01)

    devices = asyncio.create_task(runner.on_every_link(scenario))
    await until_all_have_published_after(0)
    await hub.stop()
    hub = Hub(tmp_path / "hub", port=port)
    await hub.start()
    last = max(newest())
    try:
        await until_all_have_published_after(last)
        for name in LINKS:
            await hub.send("dev-" + name, b'{"command":"ping"}', {})
        await devices
        for name in LINKS:
            arrived = numbers(message.body for message in hub.messages("dev-" + name))
            assert list(dict.fromkeys(arrived)) == all_of(records[name]), name
    finally:
        await hub.stop()
