"""What `fieldpost service` asks of apt, systemctl and journalctl, and what it says where they are not.

The commands themselves are run for real in test_debian.py; here they are only recorded.
"""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from host_tools.cli import app
from host_tools.errors import UserError
from host_tools.service import commands, configure, deb, front
from tests.pi.machine import ROOT

IDENTITY = {"device_id": "Shed.1", "key": "A" * 44, "ca_der": "A" * 400}
STOPPED = (
    "LoadState=loaded\nActiveState=failed\nSubState=failed\nUnitFileState=enabled\nStatusText=\nMainPID=0\n"
    "NRestarts=3\nResult=exit-code\nActiveEnterTimestamp=\nMemoryCurrent=0\nConditionResult=yes\n"
)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with root, systemd and the unit; what is called is recorded in `called`."""

    made = SimpleNamespace(called=[], shown=STOPPED)

    def call(command):
        made.called.append(command)
        return 0

    (tmp_path / "fieldpost.service").touch()
    monkeypatch.setattr(commands, "_call", call)
    monkeypatch.setattr(commands, "_ask", lambda command: made.shown)
    monkeypatch.setattr(commands, "_need_root", lambda: None)
    monkeypatch.setattr(commands, "_need_systemd", lambda: None)
    monkeypatch.setattr(commands, "_is_known_to_dpkg", lambda: True)
    monkeypatch.setattr(commands, "_INSTALLED_UNIT", tmp_path / "fieldpost.service")
    monkeypatch.setattr(configure, "FOLDER", tmp_path / "etc")
    (tmp_path / "identity.json").write_text(json.dumps(IDENTITY))
    return made


def test_install_takes_the_package_writes_the_configuration_and_starts(machine, tmp_path, monkeypatch):
    package = tmp_path / "fieldpost_0.1.0_amd64.deb"
    monkeypatch.setattr(deb, "build", lambda *arguments, **keys: package.touch() or package)
    run = CliRunner().invoke(
        app,
        ["service", "install", "--identity", str(tmp_path / "identity.json"), "--hub", "hub.example", "--hours", "24"],
    )
    assert run.exit_code == 0, run.output
    assert machine.called == [
        ["apt-get", "install", "-y", "--allow-downgrades", str(package)],
        ["systemctl", "enable", "fieldpost.service"],
        ["systemctl", "restart", "fieldpost.service"],
    ]
    config = json.loads((tmp_path / "etc" / "config.json").read_text())
    assert (config["device"], config["hub"]["host"]) == ("shed-1", "hub.example")
    assert IDENTITY["key"] not in run.output
    assert "24 h of a reading every 1 s" in run.output


@pytest.mark.parametrize("identity", ["none.json", "fieldpost.service"])
def test_nothing_is_built_or_installed_for_an_identity_that_cannot_be_read(machine, tmp_path, monkeypatch, identity):
    monkeypatch.setattr(deb, "build", lambda *arguments, **keys: machine.called.append("build"))
    run = CliRunner().invoke(
        app, ["service", "install", "--identity", str(tmp_path / identity), "--hub", "hub.example"]
    )
    assert isinstance(run.exception, UserError) and identity in str(run.exception)
    assert machine.called == []


def test_what_is_not_installed_cannot_be_removed(machine, monkeypatch):
    monkeypatch.setattr(commands, "_is_known_to_dpkg", lambda: False)
    with pytest.raises(UserError, match="there is nothing to remove"):
        commands.remove(purge=True)
    assert machine.called == []


def test_what_is_configured_stays_but_for_what_is_given(machine, tmp_path):
    """An administrator's pins and sensors outlive the next `configure`; what would be refused is not written."""
    identity = ["service", "configure", "--identity", str(tmp_path / "identity.json")]
    assert front.main([*identity, "--hub", "hub.example", "--no-start"]) == 0
    path = tmp_path / "etc" / "config.json"
    config = json.loads(path.read_text())
    config["sensors"] += [{"driver": "cpu", "interval_ms": 60000}]
    config["pins"] = {"fan": {"gpio": 5, "safe": 0, "commands": ["gpio.set"]}}
    path.write_text(json.dumps(config))
    assert front.main(["service", "configure", "--address", "0x76", "--every", "5s"]) == 0
    changed = json.loads(path.read_text())
    config["sensors"][0]["address"], config["sample_interval_ms"] = 0x76, 5000
    assert changed == config
    assert front.main(["service", "configure", "--hours", "480"]) == 0
    assert json.loads(path.read_text())["ring"]["sectors"] > config["ring"]["sectors"]
    before = path.read_bytes()
    for wrong in (["--address", "5"], ["--every", "1ms"], ["--hub-port", "0"], ["--hours", "1e9"]):
        assert front.main(["service", "configure", *wrong]) == 2
    path.write_text("{")
    assert front.main(["service", "configure", "--every", "1s"]) == 2
    path.write_text('{"device": 1}')
    assert front.main(["service", "configure", "--every", "1s"]) == 2
    path.write_bytes(before)
    # A certificate instead of a key; none of them for a hub of Azure's is refused before anything is written.
    plain = {name: IDENTITY[name] for name in ("device_id", "ca_der")}
    (tmp_path / "identity.json").write_text(json.dumps(plain))
    assert front.main(identity) == 2
    assert front.main([*identity, "--dialect", "plain"]) == 0
    assert json.loads(path.read_text())["hub"]["dialect"] == "plain"


def test_remove_leaves_the_readings_unless_told_otherwise(machine):
    assert front.main(["service", "remove"]) == 0 and front.main(["service", "remove", "--purge"]) == 0
    assert machine.called == [["apt-get", "remove", "-y", "fieldpost"], ["apt-get", "purge", "-y", "fieldpost"]]


def test_logs_ask_the_journal(machine):
    assert front.main(["service", "logs", "-f", "-n", "5", "-p", "warning"]) == 0
    run = CliRunner().invoke(app, ["service", "logs", "--json"])
    assert run.exit_code == 0
    first, second = machine.called
    assert first[:3] == ["journalctl", "--unit", "fieldpost.service"]
    assert {"--follow", "--priority", "warning", "5"} <= set(first)
    assert second[-2:] == ["--output", "json"] and "--follow" not in second


def test_status_says_what_to_do(machine, tmp_path, capsys):
    assert front.main(["service", "status"]) == 3
    assert "config.json is missing: run `sudo fieldpost service configure`" in capsys.readouterr().out
    front.main(["service", "configure", "--identity", str(tmp_path / "identity.json"), "--hub", "h", "--no-start"])
    assert machine.called == []
    front.main(["service", "status"])
    assert "`fieldpost service logs` tells which" in capsys.readouterr().out
    machine.shown = STOPPED.replace("failed", "active", 1)
    assert front.main(["service", "status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["NRestarts"] == "3"
    machine.shown = STOPPED.replace("loaded", "not-found")
    assert front.main(["service", "status"]) == 3
    assert "not installed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["service", "configure", "--identity", "/nowhere", "--hub", "h"], "/nowhere cannot be read"),
        (["service", "status"], "systemd does not run here"),
        (["queue", "stats", "/nowhere"], "/nowhere cannot be read"),
        (["queue", "stats", "/nowhere", "--every", "often"], "'often' is no duration"),
        (["top", "--socket", "/nowhere"], "no service answers at /nowhere"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_2(arguments, said):
    """In a process of its own, as the package's command runs it."""
    program = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'firmware')!r}]\n"
    program += "from pathlib import Path\nfrom host_tools.service import commands, front\n"
    program += "import shutil; shutil.which = lambda name: None\nsys.exit(front.main())"
    run = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert run.returncode == 2
    assert said in run.stderr and run.stderr.count("\n") == 1 and run.stderr.startswith("fieldpost: ")


def test_a_package_that_is_not_there_is_told_before_anything_is_asked(machine, tmp_path):
    with pytest.raises(UserError, match="build-deb"):
        commands.install(tmp_path / "absent.deb")
    assert machine.called == []
