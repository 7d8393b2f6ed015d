"""A hub that restarts under devices that publish: they find it again by themselves, and nothing is lost."""

import asyncio
import base64
import random
from collections import Counter

from fieldpost.uplink.backoff import Backoff

from host_tools.hub import Hub
from tests.contract.links import LINKS, all_of, numbers

FLEET = 5000


def returns_ms(away_ms, seed):
    """Return when each device of a fleet that lost its hub for so long tries with success, in ms after its return."""
    generator = random.Random(seed)
    found = []
    for _ in range(FLEET):
        backoff, now_ms = Backoff(generator.randrange), 0
        while now_ms < away_ms:
            now_ms += backoff.next_ms()
        found.append(now_ms - away_ms)
    return sorted(found)


def test_a_hub_that_was_away_for_a_second_is_found_within_two_and_not_by_all_at_once():
    """The wait alone, in no time: 5000 devices, a hub that takes up to a second to start again."""
    for away_ms in (200, 500, 1000):
        found = returns_ms(away_ms, seed=away_ms)
        assert found[FLEET * 97 // 100] < 2000, away_ms
        slots = Counter(ms // 100 for ms in found)
        assert max(slots.values()) < FLEET // 5, "a tenth of a second sees a part of the fleet"


async def test_a_hub_that_restarts_under_load_is_found_again(runner, tmp_path):
    hub = Hub(tmp_path / "hub")
    await hub.start()
    port, ca = hub.port, base64.b64encode(hub.ca_der).decode()
    keys = {name: hub.devices.create("dev-" + name).primary_key for name in LINKS}
    records = {}

    async def scenario(name):
        asked = {"dialect": "azure", "key": keys[name], "ca": ca, "path": "/$iothub/websocket", "port": port}
        found = await runner.run(name, **asked, records=1000, live_ms=50, commands=1, seconds=240)
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
