"""The service on CPython: real systemd protocol, unmodified Blinka and Adafruit driver, real TLS, real hub.

Goal: what an administrator sees and relies on. Method: the service runs in a process of its own above emulated
I2C and GPIO kernel interfaces (host_tools/emulator/pi); the test is systemd, the hub and the world.
"""

from __future__ import annotations

import asyncio
import errno
import json

import pytest

from host_tools.emulator.pi.hardware import GPIO_DEVICE, I2C_DEVICE
from host_tools.emulator.pi.kernel import MODELS
from host_tools.service import top
from tests.pi.machine import ADDRESS, DEVICE
from tests.pi.until import until


def readings(pi):
    return [r for r in pi.records() if "temperature" in r]


def answers(pi, message_id):
    return [r for r in pi.records() if r.get("id") == message_id]


async def command(pi, name, **arguments):
    return await pi.hub.send(DEVICE, json.dumps({"command": name, "arguments": arguments}).encode(), {})


async def test_a_service_says_ready_feeds_the_watchdog_and_stops_clean(pi):
    pi.start()
    await until(lambda: len(readings(pi)) >= 20, pi.said)
    await until(lambda: pi.systemd.messages().count("WATCHDOG=1") >= 3, pi.said)
    relay = await command(pi, "gpio.set", pin="relay", value=1)
    await until(lambda: answers(pi, relay), pi.said)
    assert pi.hardware.pins[17].level == 1
    await asyncio.to_thread(pi.stop)
    assert pi.hardware.pins[17].level == 0, "an output is safe when the service has gone"
    # What it said last may still be on its way to us.
    await until(lambda: "STOPPING=1" in pi.systemd.messages(), pi.said)
    told = pi.systemd.messages()
    assert told[0] == "READY=1" and told.count("READY=1") == 1
    assert told.index("STOPPING=1") > max(i for i, line in enumerate(told) if line == "WATCHDOG=1")
    assert any(line.startswith("STATUS=ready; ") for line in told)
    assert pi.nothing_is_missing()
    assert "started: boot 1" in pi.said() and "connected to the hub" in pi.said() and "stopped: " in pi.said()
    assert pi.identity["key"] not in pi.said()


async def test_a_stop_waits_for_what_the_hub_can_still_confirm(pi):
    pi.settings["batch"] = {"age_ms": 0}
    for _ in range(5):  # it does not wait long, and a busy machine may not confirm in time
        before = len(readings(pi))
        pi.start()
        await until(lambda before=before: len(readings(pi)) >= before + 5, pi.said)
        await asyncio.to_thread(pi.stop)
        if "stopped: 0 records wait" in pi.said():
            return
    pytest.fail(pi.said())


@pytest.mark.parametrize("model", MODELS)
async def test_every_model_reads_the_sensor_and_drives_its_pins(make_pi, model):
    pi = await make_pi(model)
    pi.bme280.temperature_c, pi.bme280.pressure_hpa, pi.bme280.humidity_percent = -12.34, 987.65, 71.5
    pi.hardware.pins.drive(22, 1)
    pi.settings["sensors"] += [{"driver": "gpio_counter", "gpio": 23, "label": "rain", "interval_ms": 50}]
    pi.start()
    await until(lambda: readings(pi) and any("rain" in r for r in pi.records()), pi.said)
    pi.hardware.drive(23, 1)
    await until(lambda: any(r.get("rain") == 1 for r in pi.records()), pi.said)
    on = await command(pi, "gpio.set", pin="relay", value=1)
    asked = await command(pi, "gpio.get", pin="button")
    await until(lambda: answers(pi, on) and answers(pi, asked), pi.said)
    reading = readings(pi)[0]
    assert abs(reading["temperature"] + 12.34) <= 0.02
    assert abs(reading["pressure"] - 987.65) <= 0.05 and abs(reading["humidity"] - 71.5) <= 0.05
    assert pi.hardware.pins[17].level == 1
    assert answers(pi, asked)[0]["result"]["value"] == 1
    # The valve's safe level is 1: at no moment of its start was it driven to 0.
    assert set(pi.hardware.levels[27]) == {1}
    await asyncio.to_thread(pi.stop)


async def test_readings_and_commands_through_outages_and_kill_9(pi):
    """Goal: nothing lost, nothing done twice. Method: the link and the process end where it hurts, by turns."""
    pi.start()
    sent = []
    for _ in range(4):
        before = len(readings(pi))
        await until(lambda before=before: len(readings(pi)) >= before + 10, pi.said)
        message_id = await command(pi, "gpio.pulse", pin="relay", width_ms=20)
        sent.append(message_id)
        await until(lambda message_id=message_id: answers(pi, message_id), pi.said)
        # The hub goes away and comes back on its port; meanwhile readings are kept, and the process is killed.
        await pi.end_hub()
        await asyncio.sleep(0.3)
        await asyncio.to_thread(pi.kill)
        pi.start()
        await asyncio.sleep(0.3)
        await pi.begin_hub()
    await until(lambda: len({r["boot"] for r in readings(pi)}) == 5, pi.said)
    await asyncio.to_thread(pi.stop)
    finding = pi.finding()
    assert pi.nothing_is_missing() and finding.total("lost_reported") == 0
    taken = len({(r["boot"], r["up"]) for r in readings(pi)})
    # A kill may cost the one reading that was being taken; what waits has not arrived.
    assert taken <= pi.bme280.conversions <= taken + 4 + finding.total("waiting")
    for message_id in sent:
        assert answers(pi, message_id)[0]["status"] == "done"
    rises = sum(1 for edge in pi.hardware.pins[17].edges if edge.level == 1)
    assert rises == len(sent)


async def test_trouble_with_the_bus_is_told_counted_and_recovered(pi):
    pi.hardware.refused[I2C_DEVICE] = errno.ENOENT
    pi.start()
    await until(lambda: any(r.get("event") == "boot" for r in pi.records()), pi.said)
    await until(lambda: "raspi-config nonint do_i2c 0" in pi.said(), pi.said)
    pi.hardware.refused[I2C_DEVICE] = errno.EACCES
    await until(lambda: "usermod -aG i2c" in pi.said(), pi.said)
    pi.hardware.refused.clear()
    pi.hardware.wires.detach(ADDRESS)
    pi.hardware.wires.attach(0x76, pi.bme280)
    await until(lambda: "answers at 0x76" in pi.said(), pi.said)
    pi.hardware.wires.detach(0x76)
    await until(lambda: "no BME280 at I2C address 0x77: is it wired" in pi.said(), pi.said)
    pi.hardware.wires.attach(ADDRESS, pi.bme280)
    await until(lambda: readings(pi), pi.said)
    pi.hardware.wires.is_stuck = True
    await until(lambda: "BME280 does not answer" in pi.said(), pi.said)
    pi.hardware.wires.is_stuck = False
    before = len(readings(pi))
    await until(lambda: len(readings(pi)) > before, pi.said)
    await until(lambda: pi.said().count("bme280 answers again after") == 2, pi.said)
    assert pi.process.poll() is None
    assert any("sensors failed" in line for line in pi.systemd.messages())


async def test_pins_without_permission_cost_commands_not_readings(pi):
    pi.hardware.refused[GPIO_DEVICE] = errno.EACCES
    pi.start()
    await until(lambda: len(readings(pi)) >= 5, pi.said)
    assert "usermod -aG gpio" in pi.said()
    refused = await command(pi, "gpio.set", pin="relay", value=1)
    await until(lambda: answers(pi, refused), pi.said)
    assert answers(pi, refused)[0]["status"] == "failed"
    pi.hardware.refused.clear()
    done = await command(pi, "gpio.set", pin="relay", value=1)
    await until(lambda: answers(pi, done), pi.said)
    assert answers(pi, done)[0]["status"] == "done"
    assert pi.hardware.pins[17].level == 1


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda pi: pi.settings.update(port="rp2"), "port"),
        (lambda pi: pi.settings["pins"]["relay"].update(gpio="x"), 'pins.relay.gpio is "x"'),
        (lambda pi: (pi.credentials / "identity.json").unlink(), "cannot be read"),
        (lambda pi: (pi.credentials / "identity.json").write_text("{"), "not JSON"),
        (lambda pi: pi.environment.pop("CREDENTIALS_DIRECTORY"), "LoadCredential="),
    ],
)
async def test_a_wrong_configuration_ends_the_start_with_one_line(pi, damage, said):
    damage(pi)
    pi.start()
    assert await asyncio.to_thread(pi.process.wait, 60) == 78
    assert said in pi.said() and len(pi.said().splitlines()) == 1
    assert "READY=1" not in pi.systemd.messages()


async def test_a_ring_without_room_on_the_disk_ends_the_start_with_one_line(pi):
    pi.settings["ring"]["path"] = str(pi.folder / "absent" / "queue")
    pi.start()
    assert await asyncio.to_thread(pi.process.wait, 60) == 1
    assert "No such file" in pi.said() and len(pi.said().splitlines()) == 1


async def test_a_rhythm_that_the_twin_changed_survives_a_restart(pi):
    path = pi.run / "agent.sock"
    pi.settings["service"] = {"socket": str(path)}
    pi.settings["sensors"] = [{"driver": "bme280", "address": ADDRESS, "interval_ms": 60}]

    async def interval_ms():
        return (await asyncio.to_thread(top.fetch, path))["sensors"][0]["interval_ms"]

    pi.start()
    await until(lambda: readings(pi), pi.said)
    assert await interval_ms() == 60
    desired = {"settings": {"sample_interval_ms": 90}}
    pi.hub.twins.change(DEVICE, None, desired, False, lambda twin: None, lambda: None)
    for _ in range(2):
        async with asyncio.timeout(120):
            while await interval_ms() != 90:
                await asyncio.sleep(0.05)
        await asyncio.to_thread(pi.stop)
        before = len(readings(pi))
        pi.start()
        await until(lambda before=before: len(readings(pi)) > before, pi.said)


async def test_a_word_of_the_administrators_own_lies_beside_the_configuration(pi):
    """Goal: user_commands.py works here as on a board, and one that is broken costs only its own words."""
    program = """
from fieldpost.commands.word import command
from fieldpost.shapes import Integer


@command("valve.open", once=True, tenths=Integer(1, 50, "tenths of a second"))
def open_valve(context, arguments, now_ms):
    context.outputs.pulse("relay", (arguments["tenths"] * 100,), now_ms)
    return (("tenths", arguments["tenths"]),)
"""
    (pi.folder / "user_commands.py").write_text(program)
    pi.start()
    opened = await command(pi, "valve.open", tenths=2)
    wrong = await command(pi, "valve.open", tenths=500)
    await until(lambda: answers(pi, opened) and answers(pi, wrong), pi.said)
    assert answers(pi, opened)[0]["status"] == "done" and answers(pi, wrong)[0]["status"] == "refused"
    await until(lambda: pi.hardware.levels[17][-2:] == [1, 0], pi.said)
    await asyncio.to_thread(pi.stop)
    (pi.folder / "user_commands.py").write_text("this is no Python\n")
    pi.start()
    ping = await command(pi, "ping")
    await until(lambda: answers(pi, ping), pi.said)
    await asyncio.to_thread(pi.stop)
    assert "user_commands.py cannot be used: SyntaxError" in pi.said()


async def test_a_twin_switches_sensors_and_settings_that_fail_are_taken_back(pi):
    """Goal: the sensor list is desired state, and a service goes back by itself to what was good."""
    pi.settings["trial_s"] = 10
    pi.start()
    await until(lambda: readings(pi), pi.said)

    async def desire(settings):
        return (await pi.hub.change_twin(DEVICE, {}, {"settings": settings}, True)).desired.version

    def reported():
        return pi.hub.twins.get(DEVICE).reported.values

    def has(version, status):
        settings = reported().get("settings", {})
        return (settings.get("version"), settings.get("status")) == (version, status)

    good = await desire(
        {"sensors": {"bme280": {"on": False}, "disk": {"on": True, "interval_ms": 100}}, "batch_age_ms": 0}
    )
    await until(lambda: any("disk_free" in r for r in pi.records()), lambda: pi.said() + str(reported()))
    await until(lambda: has(good, "applied"), pi.said)
    conversions = pi.bme280.conversions
    sensors = reported()["device"]["sensors"]
    assert (sensors["disk"]["on"], sensors["bme280"]["on"], sensors["cpu"]["on"]) == (True, False, False)
    # The sensor does not answer, so no reading can arrive.
    pi.hardware.wires.detach(ADDRESS)
    bad = await desire({"sensors": {"bme280": {"on": True}}, "batch_age_ms": 0})
    await until(lambda: has(bad, "rolled back"), pi.said)
    sensors = reported()["device"]["sensors"]
    assert (sensors["disk"]["on"], sensors["bme280"]["on"]) == (True, False)
    assert "no reading reached the hub" in reported()["settings"]["reason"]
    assert pi.bme280.conversions == conversions
