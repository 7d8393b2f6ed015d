"""The package in a Debian with systemd: installed, started, killed, hung, upgraded, downgraded, removed, purged.

Goal: what docs/raspberry-pi.md promises an administrator. Method: systemd-nspawn boots a Debian root; the installed
agent runs under the unit as it is shipped, sandbox included, with emulated hardware below its Blinka, and delivers to
a hub on the host. The only changes: the start that puts the emulation in, and shorter times of the unit.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest
from fieldpost.ports.file_region import FileRegion
from fieldpost.ring.layout import divide

from host_tools.audit import judge, read_tail
from host_tools.service import deb
from tests.pi.machine import ROOT
from tests.pi.until import until
from tests.service import debian_machine
from tests.service.debian_machine import Machine, NoMachine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(debian_machine.why_not() is not None, reason=debian_machine.why_not() or ""),
]

_DROP_IN = """\
[Service]
ExecStart=
ExecStart=/usr/bin/python3 -I /opt/bench/start_on_bench.py --config /etc/fieldpost/config.json
WatchdogSec=8
RestartSec=1
"""


@pytest.fixture
def packages(package, tmp_path_factory):
    """Two versions of the package, built by the one command."""
    return [package, deb.build(tmp_path_factory.mktemp("newer"), version="0.1.1", report=lambda _: None)]


@pytest.fixture
async def bench(make_pi, tmp_path, packages):
    folder = Path(tmp_path / "bench")
    folder.mkdir()
    pi = await make_pi(hardware=folder / "hardware")
    for file in (*packages, ROOT / "tests/service/start_on_bench.py", ROOT / "host_tools/emulator/pi/kernel.py"):
        shutil.copy(file, folder)
    (folder / "identity.json").write_text(json.dumps(pi.identity))
    # The service's user must reach its hardware through folders that pytest makes private.
    os.chmod(folder, 0o755)
    os.chmod(folder / "hardware", 0o777)
    try:
        machine = await asyncio.to_thread(Machine, Path(tmp_path / f"fieldpost-{os.getpid()}"), folder)
    except NoMachine as error:
        pytest.skip(f"no machine can be started here: {error}")
    yield pi, machine
    await asyncio.to_thread(machine.stop)


async def test_a_life_of_the_package(bench, packages):
    pi, machine = bench
    older, newer = (f"/opt/bench/{package.name}" for package in packages)

    def install(package):
        # Without any network: what it depends on is there, and it fetches nothing.
        machine.run(
            "unshare", "--net", "env", "DEBIAN_FRONTEND=noninteractive",
            "apt-get", "install", "-y", "--no-install-recommends", "--allow-downgrades", package,
        )  # fmt: skip

    def boot():
        return json.loads(machine.run("fieldpost", "top", "--json"))["boot"]

    def delivered():
        return sum(1 for r in pi.records() if "temperature" in r)

    async def comes_true(condition):
        # The hub is in this process: it must not wait with us.
        await asyncio.to_thread(machine.until_true, condition)

    def restarts():
        return int(machine.show("NRestarts"))

    def journal(*words):
        return machine.run("journalctl", "--no-pager", *words)

    async def goes_on(what):
        await comes_true(lambda: machine.show("ActiveState") == "active")
        before = delivered()
        await until(lambda: delivered() >= before + 2, lambda: what + machine.run("journalctl", "-u", "fieldpost"))

    await asyncio.to_thread(install, older)
    assert machine.show("ActiveState") == "inactive"
    assert "is missing: run" in machine.run("fieldpost", "service", "status", check=False)
    # Its user and groups, and the identity that only root may read.
    assert machine.run("id", "-nG", "fieldpost").split() == ["fieldpost", "i2c", "gpio"]
    machine.run("mkdir", "-p", "/etc/systemd/system/fieldpost.service.d")
    machine.run("sh", "-c", f"printf '%s' '{_DROP_IN}' > /etc/systemd/system/fieldpost.service.d/bench.conf")
    machine.run("systemctl", "daemon-reload")
    machine.run(
        "fieldpost", "service", "configure", "--identity", "/opt/bench/identity.json", "--hub", "localhost",
        "--hub-port", str(pi.hub.port), "--hours", "2", "--every", "200ms",
    )  # fmt: skip
    assert machine.run("stat", "-c", "%a %U", "/etc/fieldpost/identity.json").split() == ["600", "root"]
    await goes_on("start: ")
    await comes_true(lambda: machine.show("StatusText").startswith("ready; "))
    assert restarts() == 0
    assert machine.run("fieldpost", "service", "status").startswith("active (running), enabled: ready; ")
    await comes_true(lambda: journal("-o", "json", "FIELDPOST_EVENT=connected", "-n", "1").startswith("{"))
    fields = json.loads(journal("-o", "json", "FIELDPOST_EVENT=connected", "-n", "1"))
    assert (fields["MESSAGE"], fields["PRIORITY"]) == ("connected to the hub", "6")
    assert fields["_SYSTEMD_UNIT"] == "fieldpost.service"
    # Not in the environment, the arguments or the journal; nobody but systemd and the service can read it.
    main = machine.show("MainPID")
    assert pi.identity["key"] not in machine.run("cat", f"/proc/{main}/environ", f"/proc/{main}/cmdline")
    assert pi.identity["key"] not in machine.run("journalctl", "--no-pager")
    stats = json.loads(machine.run("fieldpost", "queue", "stats", "--json", "--every", "200ms"))
    readings = next(ring for ring in stats["rings"] if ring["role"] == "readings")
    assert readings["hours"] >= 2 and readings["lost_reported"] == 0

    # Other sensors, and `fieldpost top`, through the same sandbox.
    config = json.loads(machine.run("cat", "/etc/fieldpost/config.json"))
    config["sensors"] += [{"driver": "cpu"}, {"driver": "disk"}, {"driver": "tank"}]
    config["service"] = {"metrics": "socket"}
    (pi.folder.parent / "bench" / "config.json").write_text(json.dumps(config))
    (pi.folder.parent / "bench" / "tank.py").write_text(
        "class Tank:\n    schema = 'level,u2,-2,m'\n    def read(self):\n        return (150,)\n"
        "def make(port, settings):\n    return Tank()\n"
    )
    machine.run("install", "-D", "-m", "0644", "/opt/bench/tank.py", "/etc/fieldpost/sensors/tank.py")
    machine.run("cp", "/opt/bench/config.json", "/etc/fieldpost/config.json")
    machine.run("systemctl", "restart", "fieldpost")
    await until(lambda: {"cpu_load", "disk_free", "level"} <= {k for r in pi.records() for k in r})
    shown = json.loads(machine.run("fieldpost", "top", "--json"))
    assert shown["state"] == "ready"
    assert [sensor["name"] for sensor in shown["sensors"]] == ["bme280", "cpu", "disk", "tank"]

    # What this release of systemd thinks of the unit that is installed.
    rated = machine.run("systemd-analyze", "security", "--no-pager", "--threshold=20", "fieldpost.service")
    assert "Overall exposure level for fieldpost.service: 1." in rated
    assert machine.run("systemd-analyze", "verify", "fieldpost.service", check=False) == ""

    # Somebody who is not the administrator gets a sentence, and nothing of the readings.
    for words in (
        "top",
        "queue stats",
        "service remove",
        "service configure --identity /opt/bench/identity.json --hub x",
    ):
        refused = machine.run("setpriv", "--reuid=65534", "--clear-groups", "fieldpost", *words.split(), check=False)
        assert refused.startswith("fieldpost: ") and "sudo" in refused and refused.count("\n") == 1, refused
    assert machine.run("setpriv", "--reuid=65534", "fieldpost", "service", "status").startswith("active (running)")

    for kill, what in (("KILL", "kill -9: "), ("STOP", "watchdog: ")):
        before = restarts()
        machine.run("systemctl", "kill", "--kill-who=main", f"--signal={kill}", "fieldpost")
        await comes_true(lambda before=before: restarts() > before)
        await goes_on(what)
    await comes_true(lambda: "Watchdog timeout" in journal("-u", "fieldpost"))

    # A queue that belongs to somebody else, as after a restored backup.
    machine.run("systemctl", "stop", "fieldpost")
    machine.run("chown", "root:", "/var/lib/fieldpost/queue")
    machine.run("systemctl", "start", "fieldpost", check=False)
    await comes_true(lambda: "chown -R fieldpost: /var/lib/fieldpost" in journal("-u", "fieldpost"))
    machine.run("chown", "-R", "fieldpost:", "/var/lib/fieldpost")
    await goes_on("chown: ")

    for package in (newer, older):
        before = boot()
        await asyncio.to_thread(install, package)
        await goes_on(package)
        assert boot() == before + 1, "the queue of the other version was taken over"

    await asyncio.to_thread(machine.run, "systemctl", "stop", "fieldpost")
    assert machine.show("Result") == "success", "it went by itself, in time"
    machine.run("cp", "/var/lib/fieldpost/queue", "/opt/bench/queue")
    await asyncio.to_thread(machine.run, "apt-get", "remove", "-y", "fieldpost")
    assert "not-found" in machine.show("LoadState") or "masked" in machine.show("LoadState")
    machine.run("test", "-s", "/var/lib/fieldpost/queue")
    await asyncio.to_thread(machine.run, "apt-get", "purge", "-y", "fieldpost")
    assert machine.run("ls", "/var/lib/fieldpost", "/etc/fieldpost", check=False).count("No such file") == 2

    # Every number of every life of it is with the hub or in the file.
    region = FileRegion(str(pi.folder.parent / "bench" / "queue"), 0)
    tails = [tail for tail in map(read_tail, divide(region, 4, 8)[1:]) if tail is not None]
    region.close()
    finding = judge("pi-1", pi.hub.messages("pi-1"), tails)
    assert finding.is_whole and finding.total("lost_reported") == 0, finding
