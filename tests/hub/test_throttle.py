"""Tiers: off by default; the published limits when one is chosen."""

import time

import pytest

from host_tools.errors import UserError
from host_tools.hub.throttle import Kind, Throttle, Throttled
from tests.hub.hub_bench import EVENTS, running, until
from tests.hub.raw_device import RawDevice, connect, publish, token
from tests.hub.raw_topics import subscribe_all, twin_request


def test_the_published_rate_passes_in_the_long_run_and_no_more():
    now = [0.0]
    throttle = Throttle("S1", lambda: now[0])
    passed = 0
    for _ in range(6000):
        passed += throttle.allows(Kind.DEVICE_MESSAGES)
        now[0] += 1 / 200
    assert 100 * 30 <= passed <= 100 * 30 + 1000 + 1
    assert all(Throttle(None, lambda: 0.0).allows(Kind.DEVICE_MESSAGES) for _ in range(10_000))


def test_a_clock_that_is_set_back_opens_no_gate():
    now = [1000.0]
    throttle = Throttle("S1", lambda: now[0])
    while throttle.allows(Kind.TWIN_READS):
        pass
    now[0] = 0.0
    assert not throttle.allows(Kind.TWIN_READS)


def test_the_daily_quota_counts_blocks_and_begins_anew_at_midnight():
    now = [86_400 * 10.0]
    throttle = Throttle("F1", lambda: now[0])
    for _ in range(1000):
        now[0] += 1
        throttle.take(Kind.DEVICE_MESSAGES, 4096)  # 8 blocks of 512
    with pytest.raises(Throttled, match="quota") as refused:
        throttle.take(Kind.DEVICE_MESSAGES, 1)
    assert refused.value.code == 403002
    now[0] = 86_400 * 11.0
    throttle.take(Kind.DEVICE_MESSAGES, 1)


def test_a_device_beyond_its_tier_is_disconnected_and_a_twin_says_429(run, tmp_path):
    now = time.time()

    async def scenario():
        async with running(tmp_path, tier="S1", clock=lambda: now) as hub:
            device = await RawDevice.connected(hub, "dev1")
            device.send(b"".join(publish(EVENTS, b"x", index + 1) for index in range(1100)))
            received = 0
            while await device.receive() is not None:
                received += 1
            assert received <= 1000
            await until(lambda: len(list(hub.messages())) == 1000)
            twin = await RawDevice.connected(hub, "dev2")
            twin.send(subscribe_all("$iothub/twin/res/#"))
            await twin.receive()
            answers = [(await twin_request(twin, "$iothub/twin/GET/?$rid=1"))[0] for _ in range(1002)]
            assert answers.count(200) == 1000 and answers[-1] == 429
            while hub.throttle.allows(Kind.CONNECTIONS):
                pass
            late = await RawDevice.dial(hub)
            key = hub.devices.create("dev3").primary_key
            late.send(connect("dev3", token(key, "localhost/devices/dev3")))
            assert await late.receive() == (0x20, b"\x00\x03")

    run(scenario())


def test_a_tier_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="S9"):
        Throttle("S9", lambda: 0.0)
