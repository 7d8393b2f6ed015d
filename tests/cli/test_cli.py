"""The command line: what it prints, where, and how it exits when something is wrong."""

import json
import os
import subprocess
import sys
from importlib.metadata import version

import pytest


def fieldpost(*arguments, **environment):
    """Run the command as a user does; return the finished process."""
    return subprocess.run(
        [sys.executable, "-c", "from host_tools.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | environment,
    )


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A state folder that holds nothing."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def test_the_version_is_told():
    assert fieldpost("--version").stdout == f"fieldpost {version('fieldpost')}\n"


def test_without_a_board_the_boards_are_listed():
    for verb in ("flash", "boards"):
        shown = fieldpost(verb, COLUMNS="120")
        assert shown.returncode == 0
        for board in ("emulator", "esp32", "pico_w", "raspberry_pi"):
            assert board in shown.stdout
        assert "./flash.sh emulator" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["flash", "toaster"], "board 'toaster' is not known: choose one of emulator"),
        (["flash", "pico_w", "--dry-run"], "no board found: hold BOOTSEL while you plug it in"),
        (["flash", "pico_w", "--device", "a", "--dry-run"], "start it with `fieldpost hub run"),
        (["flash", "pico_w", "--hub", "h", "--port", "/dev/none"], "port /dev/none does not exist"),
        (["flash", "pico_w", "--hub", "h", "--drive", "/none"], "/none is no BOOTSEL drive"),
        (["flash", "pico_w", "--hub", "h", "--identity", "/none"], "cannot read the identity"),
        (["flash", "pico_w", "--hub", "h", "--identity", "/none", "--device", "a"], "give one of them"),
        (["flash", "pico_w", "--hub", "h", "--device", "a"], "the key of a is not known here: make one with"),
        (["init", "--interval-ms", "1000", "--hub", "two words" * 50], "hub.host is"),
        (["flash", "pico_w", "--config", "/none.toml"], "there is no /none.toml"),
        (["init", "--hub", "https://h.example"], 'hub.host is "https://h.example": expected a host name (no scheme'),
        (
            ["flash", "pico_w", "--hub", "h:8883", "--dry-run"],
            '--hub is "h:8883": expected a host name (no scheme, no',
        ),
        (["flash", "pico_w", "--device", "a b"], "'a b' cannot be the name of a device"),
        (["flash", "emulator", "--user-commands", "/none.py"], "cannot read /none.py: there is no such file"),
        (["hub", "run", "--data", "/dev/null"], "the hub cannot use the folder /dev/null: File exists"),
        (["emulate"], "which kind of board? esp32, "),
        (["emulate", "raspberry_pi"], "there is no unpacked board of kind raspberry_pi"),
        (["emulate", "esp32", "--name", "../x"], "'../x' cannot be the name of a device"),
        (["flash", "esp32", "--port", ""], "--port is empty"),
        (["flash", "esp32", "--port", "/dev/null"], "/dev/null is no serial port"),
        (["flash", "esp32", "--port", "/etc/passwd"], "/etc/passwd is no serial port"),
        (["flash", "--fleet", "/dev/null"], "expected a header with device"),
        (["flash", "--fleet", "/"], "cannot read /: Is a directory"),
        (["pin", "toaster"], "there is no MicroPython to put on board 'toaster'"),
        (["pin", "pico_w", "/none.uf2"], "there is no firmware file /none.uf2"),
        (["emulate", "esp32", "--hub", "here"], "--hub here: expected HOST:PORT"),
        (["flash", "raspberry_pi"], "`fieldpost service install`"),
        (["flash", "emulator", "--rate", "fast"], "'fast' is no rate"),
        (["flash", "emulator", "--for", "soon"], "'soon' is no duration"),
        (["flash", "emulator", "--json"], "add --for"),
        (["flash", "emulator", "--outage", "1s@1s"], "add --for"),
        (["flash", "emulator", "--for", "10s", "--outage", "1s@20s"], "make --for longer"),
        (["flash", "emulator", "--for", "10s", "--power-cut", "5s", "--redeliver", "1"], "share of 1"),
        (["flash", "emulator", "--shape", "raspberry_pi"], "cannot take on the shape of raspberry_pi"),
        (["flash", "emulator", "--name", "../x"], "'../x' cannot be the name of a board"),
        (["send", "kitchen", "ping"], "board 'kitchen' is not running"),
        (["send", "kitchen", "gpio.set", "relay"], "'relay' is not KEY=VALUE"),
        (["send", "kitchen", "gpio.set", "pin=a", "pin=b"], "'pin' stands there twice"),
        (["method", "kitchen", "ping"], "board 'kitchen' is not running"),
        (["method", "kitchen", "gpio.get", "relay"], "'relay' is not KEY=VALUE"),
        (["method", "kitchen", "ping", "--timeout", "6m"], "waits 300 s at most"),
        (["twin", "kitchen"], "board 'kitchen' is not running"),
        (["twin", "kitchen", "set"], "name what to set: write it like pins.relay=1"),
        (["twin", "kitchen", "get", "pins.relay=1"], "'get' takes no properties"),
        (
            ["twin", "kitchen", "set", "room.relay=1"],
            "the agent has no use for 'room.relay': expected pins.",
        ),
        (["twin", "kitchen", "set", "pins..relay=1"], "'pins..relay' is no property"),
        (["outage", "kitchen", "long"], "'long' is no duration"),
        (["sensor", "kitchen", "temperature=warm"], "temperature=warm is no number"),
        (["audit", "kitchen"], "there is no board 'kitchen' on this machine"),
        (["status", "kitchen"], "board 'kitchen' is not running"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(arguments, sentence, home):
    shown = fieldpost(*arguments)
    assert shown.returncode == 2
    assert sentence in shown.stderr
    assert shown.stderr.startswith("fieldpost: ")
    assert shown.stderr.count("\n") == 1
    assert shown.stdout == ""
    assert list(home.rglob("*.bin")) == []


@pytest.mark.parametrize(
    "arguments", [["fly"], ["power", "kitchen", "maybe"], ["flash", "emulator", "--hub-port", "70000"], ["send"]]
)
def test_wrong_usage_exits_2_without_a_traceback(arguments, home):
    shown = fieldpost(*arguments)
    assert shown.returncode == 2
    assert "Traceback" not in shown.stderr
    assert "Usage" in shown.stderr


def test_an_identity_that_is_wrong_is_named_without_its_secrets(tmp_path):
    path = tmp_path / "identity.json"
    path.write_text(json.dumps({"device_id": "a", "key": "c2VjcmV0", "ca_der": "AAAA"}))
    shown = fieldpost("flash", "pico_w", "--port", "/dev/x", "--hub", "h", "--identity", str(path))
    assert shown.returncode == 2
    assert "identity.json: key" in shown.stderr
    assert "c2VjcmV0" not in shown.stderr


@pytest.mark.parametrize("group", [(), ("hub",), ("hub", "device"), ("queue",), ("service",), ("bench",)])
def test_every_verb_is_told_in_a_line(group):
    """At 80 columns; a longer first sentence is cut by click, wherever it may be."""
    shown = fieldpost(*group, "--help", COLUMNS="80").stdout.partition("Commands:")[2]
    assert shown.count("\n") > 3
    assert "..." not in shown


def test_who_reads_may_go(home):
    """`fieldpost ... | head` says nothing of its own about the pipe that it closed."""
    reads, writes = os.pipe()
    os.close(reads)
    command = [sys.executable, "-c", "from host_tools.cli import main; main()", "provision", "--list", "--json"]
    done = subprocess.run(command, stdout=writes, stderr=subprocess.PIPE, text=True, timeout=300)
    os.close(writes)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("arguments", [["emulate", "pico_w"], ["emulate", "--boards", "2"], ["provision", "--list"]])
def test_a_state_folder_that_cannot_be_is_one_sentence(arguments):
    shown = fieldpost(*arguments, XDG_STATE_HOME="/dev/null")
    assert (shown.returncode, shown.stderr.count("\n")) == (2, 1), shown.stderr
    assert "/dev/null/fieldpost" in shown.stderr and "Not a directory" in shown.stderr


def test_a_full_disk_behind_the_output_is_one_sentence(home):
    command = [sys.executable, "-c", "from host_tools.cli import main; main()", "boards"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (2, "fieldpost: No space left on device\n")


def test_every_verb_explains_itself():
    for verb in ("flash", "send", "method", "twin", "outage", "power", "sensor", "audit", "status", "boards"):
        shown = fieldpost(verb, "--help")
        assert shown.returncode == 0
        assert verb in shown.stdout
