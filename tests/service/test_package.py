"""The package and its unit, as far as they can be judged without a machine to install them on (see test_debian.py)."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from host_tools.errors import UserError
from host_tools.service import configure, deb
from host_tools.service.configure import Wanted
from tests.pi.machine import ROOT
from tests.pi.until import until

UNIT = ROOT / "packaging" / "fieldpost.service"


@pytest.fixture(scope="module")
def unpacked(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["dpkg-deb", "--raw-extract", package, folder], check=True)
    return folder


needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed: apt install systemd"
)


@needs_systemd
def test_the_unit_is_rated_2_0_or_better():
    """systemd-analyze prints tenths and takes the threshold in tenths."""
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", UNIT],
        capture_output=True,
        text=True,
    )
    assert rated.returncode == 0, rated.stdout
    assert float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", rated.stdout)[1]) <= 2.0


@needs_systemd
def test_the_unit_says_nothing_that_systemd_does_not_know(unpacked, tmp_path):
    unit = UNIT.read_text().replace("/usr/lib/fieldpost/", f"{unpacked}/usr/lib/fieldpost/")
    assert unit.count(str(unpacked)) == 1
    (tmp_path / UNIT.name).write_text(unit)
    found = subprocess.run(["systemd-analyze", "verify", tmp_path / UNIT.name], capture_output=True, text=True)
    assert found.returncode == 0 and found.stderr == "", found.stderr


def test_the_unit_leaves_sensor_and_pins_and_keeps_the_secret_from_all_others():
    unit = UNIT.read_text()
    for line in (
        "DeviceAllow=char-i2c rw",
        "DeviceAllow=char-gpiochip rw",
        "SupplementaryGroups=i2c gpio",
        "LoadCredential=identity.json:/etc/fieldpost/identity.json",
        "Type=notify",
        "WatchdogSec=30",
        "Restart=always",
    ):
        assert line in unit.splitlines()


def test_the_same_sources_give_the_same_package(package, tmp_path):
    again = deb.build(tmp_path, version="0.1.0", report=lambda _: None)
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(package.read_bytes()).digest()


def test_what_the_package_holds(unpacked):
    lib = unpacked / "usr/lib/fieldpost"
    names = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*")}
    assert {
        "usr/bin/fieldpost",
        "usr/lib/systemd/system/fieldpost.service",
        "usr/lib/sysusers.d/fieldpost.conf",
    } <= names
    # gpiod for the Pythons of Debian 12, Ubuntu 24.04 and Debian 13.
    assert {path.name.split("-")[1] for path in lib.rglob("_ext.*.so")} == {"311", "312", "313"}
    assert not any(name.endswith((".pyc", "identity.json", "config.json")) for name in names)
    assert not any("/emulator/" in name or "/hub/" in name for name in names)
    control = (unpacked / "DEBIAN/control").read_text()
    assert "Package: fieldpost\n" in control and "Version: 0.1.0\n" in control


async def test_what_is_installed_runs_by_itself(unpacked, make_pi, tmp_path):
    """Only the package's own folders and Python's library are on the path, as on a Pi."""
    pi = await make_pi()
    program = (ROOT / "tests/service/start_on_bench.py").read_text()
    program = program.replace("/usr/lib/fieldpost", f"{unpacked}/usr/lib/fieldpost")
    program = program.replace("/opt/bench/kernel.py", str(ROOT / "host_tools/emulator/pi/kernel.py"))
    program = program.replace("/opt/bench/hardware", str(pi.hardware.path))
    (tmp_path / "start.py").write_text(program)
    (tmp_path / "config.json").write_text(json.dumps(pi.settings))
    with open(pi.log, "wb") as log:
        pi.process = subprocess.Popen(
            [sys._base_executable, "-I", "-S", tmp_path / "start.py", "--config", tmp_path / "config.json"],
            env=pi.environment,
            stderr=log,
        )
    await until(lambda: any("temperature" in r for r in pi.records()), pi.said)
    pi.stop()
    front = subprocess.run(
        [sys._base_executable, "-I", "-S", "-c", _front(unpacked), "queue", "stats", str(pi.ring), "--json"],
        capture_output=True,
        text=True,
    )
    assert front.returncode == 0, front.stderr
    assert {ring["role"] for ring in json.loads(front.stdout)["rings"]} <= {"readings", "urgent", "empty"}


def _front(unpacked: Path) -> str:
    program = (unpacked / "usr/bin/fieldpost").read_text()
    return program.replace('"/usr/lib', f'"{unpacked}/usr/lib').replace("if __name__", "if True or __name__")


def test_the_package_of_another_architecture_holds_its_machine_code(tmp_path):
    """ELF header, e_machine (System V ABI): 183 is AArch64, 62 x86-64. One for each Python."""
    other, machine = ("arm64", 183) if deb.machine_architecture() == "amd64" else ("amd64", 62)
    package = deb.build(tmp_path, other, report=lambda _: None)
    assert package.name == f"fieldpost_{deb.project_version()}_{other}.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tmp_path / "root"], check=True)
    compiled = list((tmp_path / "root").rglob("*.so"))
    assert {path.name.split("-")[1] for path in compiled if path.name.startswith("_ext.")} == {"311", "312", "313"}
    for path in compiled:
        assert int.from_bytes(path.read_bytes()[18:20], "little") == machine, path


def test_an_architecture_without_wheels_is_refused(tmp_path):
    with pytest.raises(UserError, match="no package for armhf"):
        deb.build(tmp_path, "armhf")
    with pytest.raises(UserError, match="no version"):
        deb.build(tmp_path, "amd64", version="of today")


def test_hours_become_sectors_that_hold_them(tmp_path):
    config = configure.configuration(Wanted(hub="hub.example", hours=72, interval_s=1, address=0x76), "pi-1")
    readings = 72 * 3600
    assert config["ring"]["sectors"] * 4096 // 28 > readings
    assert config["sensors"] == [{"driver": "bme280", "address": 0x76}]
    assert config["sample_interval_ms"] == 1000
    with pytest.raises(UserError, match="at most 2"):
        configure.configuration(Wanted(hub="hub.example", hours=10_000, interval_s=1), "pi-1")


def test_an_identity_is_written_for_root_alone(tmp_path):
    (tmp_path / "identity.json").write_text('{"device_id": "pi", "key": "c2VjcmV0", "ca_der": "AA=="}')
    with pytest.raises(UserError) as refused:
        configure.read_identity(tmp_path / "identity.json")
    assert "key" in str(refused.value) and "c2VjcmV0" not in str(refused.value)
    configure.write({"a": 1}, {"key": "x"}, tmp_path / "etc")
    assert (tmp_path / "etc/identity.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "etc/config.json").stat().st_mode & 0o777 == 0o644
