"""The first scenario on CPython: an outage, a power cut, commands that come again; nothing lost, nothing repeated.

Goal: what `./flash.sh emulator --outage ... --power-cut ...` shows on an emulated board holds for the service on
unmodified Blinka and Adafruit's driver. Method: half of the acknowledgements of commands get lost, so that the hub
delivers them again; the hub goes away while readings are taken; kill -9 comes with commands on their way, which is
all that a process can see of a power cut. The judges are the audit and the edges of the pin.
"""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.pi.machine import DEVICE
from tests.pi.until import until

COMMANDS = 16
RELAY = 17


@pytest.mark.slow
async def test_an_outage_a_power_cut_and_commands_delivered_again(pi):
    pi.settings["sample_interval_ms"] = 100
    sent: list[str] = []

    def begin():
        pi.hub.faults.c2d_puback_loss = 0.5
        pi.hub.faults.redeliver_s = 0.3

    async def pulse():
        body = json.dumps({"command": "gpio.pulse", "arguments": {"pin": "relay", "width_ms": 30}}).encode()
        sent.append(await pi.hub.send(DEVICE, body, {}))
        await asyncio.sleep(0.15)

    def readings():
        return [r for r in pi.records() if "temperature" in r]

    def answers():
        return {r["id"]: r["status"] for r in pi.records() if r.get("id") in sent}

    begin()
    pi.start()
    await until(lambda: len(readings()) >= 10, pi.said)
    for _ in range(COMMANDS // 2):
        await pulse()
    # The outage: the hub is away, readings are kept.
    redelivered = pi.hub.redelivered
    await pi.end_hub()
    taken = pi.bme280.conversions
    await until(lambda: pi.bme280.conversions >= taken + 20, pi.said)
    await pi.begin_hub()
    begin()
    await until(lambda: len(answers()) == COMMANDS // 2, pi.said)
    # The power cut, with commands on their way.
    for _ in range(COMMANDS // 4):
        await pulse()
    await asyncio.to_thread(pi.kill)
    pi.start()
    for _ in range(COMMANDS // 4):
        await pulse()
    await until(lambda: len(answers()) == COMMANDS, pi.said)
    last = len(readings())
    await until(lambda: len(readings()) >= last + 10, pi.said)
    redelivered += pi.hub.redelivered
    await asyncio.to_thread(pi.stop)

    assert pi.nothing_is_missing()
    finding = pi.finding()
    totals = {name: finding.total(name) for name in ("missing", "gaps", "lost_reported", "out_of_order")}
    assert totals == dict.fromkeys(totals, 0), totals
    arrived = {(r["boot"], r["up"]) for r in readings()}
    assert len(arrived) <= pi.bme280.conversions <= len(arrived) + 1 + finding.total("waiting")
    assert redelivered > 0, "no command came twice: nothing was tried"
    statuses = list(answers().values())
    done, cut = statuses.count("done"), statuses.count("interrupted")
    assert done + cut == COMMANDS and cut <= 1, statuses
    rises = sum(1 for edge in pi.hardware.pins[RELAY].edges if edge.level == 1)
    assert done <= rises <= done + cut, (rises, statuses)
