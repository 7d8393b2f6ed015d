"""The whole way: hub, emulated board, agent, and the command line as a user types it."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from host_tools.errors import UserError
from host_tools.toolchain.micropython import find_or_install_narrow

FIELDPOST = [sys.executable, "-c", "from host_tools.cli import main; main()"]
KEYS = [
    "sampled",
    "appended",
    "delivered_unique",
    "duplicates",
    "lost_reported",
    "missing",
    "gaps",
    "commands_sent",
    "commands_effective",
    "effects_repeated",
    "heap_peak_bytes",
    "flash_bytes_programmed",
    "flash_erases",
    "power_cuts",
    "outages",
    "seed",
    "wall_s",
]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A state folder that holds nothing."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def fieldpost(*arguments):
    """Run the command to its end; return (exit code, stdout, stderr)."""
    done = subprocess.run([*FIELDPOST, *arguments], capture_output=True, text=True, timeout=900)
    return done.returncode, done.stdout, done.stderr


def asked(*arguments):
    """As above, a verb whose answer is the board's: on a busy machine that takes longer than people wait."""
    return fieldpost(*arguments, "--timeout", "120s")


@contextlib.contextmanager
def running_lab(*arguments):
    """Run `fieldpost flash emulator` and give the process once readings arrive; end it with Ctrl-C."""
    process = subprocess.Popen(
        [*FIELDPOST, "flash", "emulator", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert "In a second terminal" in process.stdout.readline(), process.stderr.read()
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(60)
        process.stdout.close()
        process.stderr.close()


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["esp32", "pico_w"])
def test_nothing_is_lost_through_an_outage_and_a_power_cut(shape, home):
    """Goal: the promise, in short: every reading arrives and every command acts once."""
    scenario = [
        "--for",
        "14s",
        "--outage",
        "4s@2s",
        "--power-cut",
        "8s",
        "--rate",
        "5/s",
        "--commands",
        "6",
        "--redeliver",
        "0.5",
        "--json",
    ]
    code, out, err = fieldpost("flash", "emulator", "--shape", shape, *scenario)
    assert code == 0, err
    found = json.loads(out)
    assert set(KEYS) <= set(found)
    assert found["missing"] == found["gaps"] == found["lost_reported"] == found["out_of_order"] == 0
    assert found["sampled"] - found["appended"] in (0, 1)
    assert found["delivered_unique"] == found["appended"] + found["events"]
    assert found["commands_effective"] + found["commands_interrupted"] == found["commands_sent"] == 6
    assert found["effects_repeated"] == 0
    assert found["appended"] > 5, "the run took hardly any readings"
    assert list(home.iterdir()) == [], "a scenario without a name leaves nothing behind"


@pytest.mark.slow
def test_a_person_plays_with_the_board_and_comes_back_the_next_day(home):
    """Goal: every verb works on a running board; a second run numbers on; a second lab is refused."""
    with running_lab("--rate", "5/s") as lab:
        assert asked("send", "emulator", "gpio.set", "pin=relay", "value=1")[:2] == (
            0,
            "emulator: gpio.set done: pin=relay value=1\n",
        )
        assert json.loads(fieldpost("status", "emulator", "--json")[1])["pins"]["relay"] == 1
        code, out, _ = asked("send", "emulator", "gpio.set", "pin=button", "value=1")
        assert (code, "refused" in out) == (1, True)
        code, out, _ = asked("method", "emulator", "gpio.get", "pin=relay", "--json")
        found = json.loads(out)
        assert (code, found["status"], found["answer"]["result"]) == (0, 200, {"pin": "relay", "value": 1})
        code, out, _ = asked("method", "emulator", "gpio.set", "pin=relay", "value=5")
        assert (code, out) == (1, "emulator: gpio.set refused (400): value is 5: expected one of 0, 1\n")
        assert asked("method", "emulator", "fly", "--json")[0] == 1
        code, out, _ = asked("twin", "emulator", "set", "pins.led=1", "settings.sample_interval_ms=200", "--json")
        assert (code, json.loads(out)["status"]) == (0, "applied"), out
        assert json.loads(fieldpost("status", "emulator", "--json")[1])["pins"]["led"] == 1
        code, out, _ = asked("twin", "emulator", "set", "pins.led=7")
        assert (code, "refused: value is 7" in out) == (1, True)
        assert json.loads(fieldpost("twin", "emulator", "--json")[1])["reported"]["pins"]["led"]["status"] == "refused"
        assert fieldpost("sensor", "emulator", "temperature=31.5")[1].startswith("emulator: 31.5 C")
        assert fieldpost("sensor", "emulator", "temperature=900")[0] == 2
        assert fieldpost("power", "emulator", "off")[0] == 0
        code, out, _ = fieldpost("send", "emulator", "ping", "--timeout", "100ms")
        assert (code, "the board is off" in out) == (1, True)
        assert json.loads(fieldpost("status", "emulator", "--json")[1])["pins"]["relay"] == 0
        assert fieldpost("power", "emulator", "on")[0] == 0
        assert fieldpost("outage", "emulator", "500ms")[0] == 0
        assert fieldpost("send", "emulator", "ping", "--timeout", "60s")[0] == 0
        code, _, err = fieldpost("flash", "emulator")
        assert (code, "already running" in err) == (2, True)
        assert fieldpost("audit", "emulator")[0] == 0
        lab.send_signal(signal.SIGINT)
        out, err = lab.communicate(timeout=900)
        assert lab.returncode == 0, err
        assert "records arrived" in out
        assert "Traceback" not in err
    code, out, _ = fieldpost("audit", "emulator", "--json")
    assert code == 0
    before = {ring["ring"]: ring["next_number"] for ring in json.loads(out)["rings"]}
    with running_lab():
        pass
    found = json.loads(fieldpost("audit", "emulator", "--json")[1])
    after = {ring["ring"]: ring["next_number"] for ring in found["rings"]}
    assert after.keys() == before.keys() and len(after) == 2, "the readings' ring, and the urgent one"
    assert all(after[ring] >= before[ring] for ring in after) and sum(after.values()) > sum(before.values())
    assert found["missing"] == 0
    # What `fieldpost queue` reads out of the whole flash, firmware and file system included, is what the audit knows.
    image = str(next(home.rglob("flash.bin")))
    code, out, err = fieldpost("queue", "verify", image, "--json")
    assert code == 0, err
    assert {ring["ring_id"] for ring in json.loads(out)["rings"]} == after.keys()
    code, out, _ = fieldpost("queue", "stats", image, "--json")
    assert {ring["ring_id"]: ring["next_number"] for ring in json.loads(out)["rings"]} == after
    assert "temperature" in fieldpost("queue", "export", image, "--csv")[1].splitlines()[0]


@pytest.mark.slow
def test_a_damaged_flash_image_is_refused_and_left_alone(home):
    """Goal: one sentence, exit 2, and not one byte of the image changed."""
    board = home / "fieldpost" / "labs" / "emulator" / "board"
    board.mkdir(parents=True)
    image = board / "flash.bin"
    image.write_bytes(b"somebody's diary")
    code, out, err = fieldpost("flash", "emulator", "--for", "5s", "--name", "emulator")
    assert (code, out) == (2, "")
    assert "flash.bin lies there without its other half" in err
    assert image.read_bytes() == b"somebody's diary"


@pytest.mark.slow
def test_a_port_that_is_taken_is_named(home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = fieldpost("flash", "emulator", "--for", "5s", "--hub-port", str(port))
    assert code == 2
    assert f"port {port} on 127.0.0.1 cannot be used" in err
    assert "choose another port" in err


@pytest.mark.slow
def test_ctrl_c_in_the_middle_of_a_scenario_leaves_no_process_behind(home):
    process = subprocess.Popen(
        [*FIELDPOST, "flash", "emulator", "--for", "60s"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if "flashing the board" in line:
            break
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode not in (0, -signal.SIGTERM)
    assert "Traceback" not in err
    assert not os.path.exists(f"/proc/{process.pid}")


def test_an_esp32_with_romfs_delivers_through_a_power_cut_on_the_heap_that_it_has(home):
    try:
        find_or_install_narrow()
        words = "4"
    except UserError:
        words = "8"
    made = ["flash", "emulator", "--shape", "esp32", "--romfs", "--words", words, "--seed", "7", "--rate", "5/s"]
    code, out, err = fieldpost(*made, "--for", "6s", "--power-cut", "3s", "--verbose", "--json")
    assert code == 0, err
    outcome = json.loads(out.splitlines()[-1])
    assert (outcome["missing"], outcome["gaps"], outcome["power_cuts"]) == (0, 0, 1)
    assert "writing the modules to ROMFS" in err
    free = [int(number) for number in re.findall(r'"heap_free": (\d+)', err + out)]
    if words == "4":
        # boards/esp32/README.md has the figures; of 114,688 bytes, a first area of 64 KiB is to hold the rest.
        assert max(free) > 114_688 - 65_536, free
        assert min(free) > 40_000, free
