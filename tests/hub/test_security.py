"""What the hub promises about who gets in: one test for each promise."""

import ast
import hmac
import os
import re
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from host_tools.hub import Hub, sas
from host_tools.hub.service import admin
from tests.hub.raw_device import RawDevice, connect, token
from tests.hub.test_admin import FIELDPOST

HUB = Path(sas.__file__).parent


def listening(pid):
    """Return the addresses (address, port) that a process listens on, from proc(5)."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(entry))
        except FileNotFoundError:
            continue  # it was open for a moment
        inodes |= {found[1]} if found else set()
    addresses = []
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{family}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                address, _, port = fields[1].partition(":")
                addresses.append((address, int(port, 16)))
    return addresses


@pytest.fixture
def start(tmp_path):
    """Return a function that runs `fieldpost hub run` on free ports."""
    processes = []

    def run(*arguments):
        command = [*FIELDPOST, "run", "--data", str(tmp_path / "hub"), *arguments]
        command += ["--mqtt-port", "0", "--https-port", "0", "--amqp-port", "0"]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        line = processes[-1].stdout.readline()
        assert line.startswith("ready: "), line
        return SimpleNamespace(pid=processes[-1].pid, folder=tmp_path / "hub", line=line)

    yield run
    for process in processes:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        process.stdout.close()


LOOPBACK, ANY = "0100007F", "00000000"  # as proc(5) writes them


def test_it_listens_on_loopback_only_unless_told_otherwise(start):
    hub = start()
    addresses = listening(hub.pid)
    assert len(addresses) == 4 and {address for address, _ in addresses} == {LOOPBACK}


def test_the_api_for_people_stays_on_loopback_and_asks_for_its_token_wherever_the_hub_listens(start):
    hub = start("--host", "0.0.0.0")
    addresses = listening(hub.pid)
    port = int(re.search(r":(\d+)\"", (hub.folder / admin.FILE_NAME).read_text())[1])
    assert (LOOPBACK, port) in addresses
    assert [address for address, _ in addresses if address != LOOPBACK] == [ANY] * 3
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/devices")
    assert refused.value.code == 401


def test_what_holds_keys_is_for_its_owner_alone(start):
    old = os.umask(0)
    try:
        hub = start()
    finally:
        os.umask(old)
    assert stat.S_IMODE(hub.folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in hub.folder.iterdir()}
    assert {"ca.key", "server.key", "api.json", "hub.sqlite3", "hub.sqlite3-wal"} <= modes.keys()
    assert {name: mode for name, mode in modes.items() if mode & 0o077} == {
        name: 0o644 for name in modes if name.endswith(".pem")
    }


SECRETS = ("sig", "token", "signature", "thumbprint", "digest", "password")


def test_secrets_are_compared_in_constant_time():
    """No == or != with anything that is named like a secret, anywhere in the hub."""
    found = []
    for path in HUB.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare) and any(isinstance(one, ast.Eq | ast.NotEq | ast.In) for one in node.ops):
                sides = [ast.unparse(one).lower() for one in (node.left, *node.comparators)]
                if any(re.search(rf"(^|[._])({'|'.join(SECRETS)})s?\b", side) for side in sides):
                    found.append(f"{path.relative_to(HUB)}:{node.lineno}: {ast.unparse(node)}")
    assert not found


@pytest.mark.parametrize("password", ["good", "wrong"])
async def test_every_signature_goes_through_compare_digest(tmp_path, monkeypatch, password):
    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda one, other: compared.append(1) or real(one, other))
    hub = Hub(tmp_path / "hub")
    await hub.start()
    try:
        key = hub.devices.create("d1").primary_key if password == "good" else "AAAA" * 11
        hub.devices.create("d1")
        device = await RawDevice.dial(hub)
        device.send(connect("d1", token(key, "localhost/devices/d1")))
        assert await device.receive() == (0x20, b"\x00\x00" if password == "good" else b"\x00\x05")
        device.close()
    finally:
        await hub.stop()
    assert len(compared) == (1 if password == "good" else 2), "both keys, and no way around it"


def test_a_hub_is_open_to_as_many_connections_as_the_system_allows(tmp_path):
    """Most shells allow 1024 files: a thousand devices would find the door closed."""
    program = (
        "import resource, runpy, sys\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))\n"
        "from host_tools.hub import __main__\n"
        "__main__._allow_files()\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard))\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert shown.stdout == "True\n", shown.stderr
