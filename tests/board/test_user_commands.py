"""A word of the user's own on a board, and settings that it cannot live with: asked for, and judged from outside."""

import asyncio
import json

import pytest

from host_tools.lab.folder import LabFolder
from host_tools.lab.lab import Lab, running
from host_tools.lab.settings import Settings

ANSWER_S_MAX = 180.0
WORDS = """
from fieldpost.commands.word import command
from fieldpost.shapes import Integer


@command("valve.open", once=True, tenths=Integer(1, 50, "tenths of a second"))
def open_valve(context, arguments, now_ms):
    context.outputs.pulse("relay", (arguments["tenths"] * 100,), now_ms)
    return (("tenths", arguments["tenths"]),)


@command("valve.break")
def break_it(context, arguments, now_ms):
    return 1 // 0
"""


async def reported(lab, wanted):
    """Wait until the twin's reported properties are as wanted; return them."""
    async with asyncio.timeout(ANSWER_S_MAX):
        while not wanted(lab.hub.twins.get(lab.device_id).reported.values):
            await asyncio.sleep(0.05)
    return lab.hub.twins.get(lab.device_id).reported.values


@pytest.mark.slow
async def test_a_word_of_the_users_own_comes_with_flashing_and_settings_that_fail_are_taken_back(tmp_path, monkeypatch):
    config = Lab.config
    monkeypatch.setattr(Lab, "config", lambda lab: config(lab) | {"trial_s": 10})
    file = tmp_path / "mine.py"
    file.write_text(WORDS)
    async with running(LabFolder("own", tmp_path), Settings(user_commands=file), print) as lab:
        await lab.await_first_reading()
        relay = lab.pins["relay"]
        for message_id, name, arguments, status in (
            ("wrong", "valve.open", {"tenths": 51}, "refused"),
            ("broken", "valve.break", {}, "failed"),
            ("right", "valve.open", {"tenths": 1}, "done"),
        ):
            assert relay.edges == []
            await lab.send(name, arguments, message_id)
            answer = await lab.watch.result(message_id, ANSWER_S_MAX)
            assert answer["status"] == status, answer
            assert answer["via"] == "message"
        async with asyncio.timeout(ANSWER_S_MAX):
            while [edge.level for edge in relay.edges] != [1, 0]:
                await asyncio.sleep(0.02)

        # Readings that are all kept back on the board are no sign of health.
        desired = {"settings": {"sample_interval_ms": 86_400_000, "batch_age_ms": 0}}
        version = (await lab.hub.change_twin(lab.device_id, desired=desired)).desired.version
        await reported(lab, lambda twin: twin.get("settings", {}).get("version") == version)
        found = await reported(lab, lambda twin: twin["settings"]["status"] == "applied")
        assert found["settings"]["sample_interval_ms"] == 86_400_000, "a long interval is no failure"
        lab.unplug_sensor()
        desired = {"settings": {"sample_interval_ms": 100, "batch_age_ms": 0}}
        version = (await lab.hub.change_twin(lab.device_id, desired=desired)).desired.version
        await reported(lab, lambda twin: twin["settings"]["version"] == version)
        settings = (await reported(lab, lambda twin: twin["settings"]["status"] == "rolled back"))["settings"]
        assert (settings["sample_interval_ms"], settings["version"]) == (86_400_000, version)
        assert "no reading reached the hub" in settings["reason"]
        boot = found["device"]["boot"]
        await lab.board.power_cycle()
        found = await reported(lab, lambda twin: twin["device"]["boot"] == boot + 1)
        assert found["settings"]["status"] == "rolled back" and found["settings"]["sample_interval_ms"] == 86_400_000
        assert {"version", "board", "cause", "pending", "capacity_h", "lost", "error", "free_bytes"} <= set(
            found["device"]
        )
        assert found["device"]["sensors"]["bme280"]["on"] is True, json.dumps(found["device"])
