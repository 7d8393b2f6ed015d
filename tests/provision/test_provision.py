"""Identities: a hub that was told of them lets the devices in, and nothing secret is where others can read it."""

import base64
import hashlib
import hmac
import json
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from host_tools.cli import real_board
from host_tools.errors import UserError
from host_tools.hub import Hub
from host_tools.hub.service.admin import AdminApi
from host_tools.provision import azure_files, documents, names
from host_tools.provision.authority import Authority
from host_tools.provision.fleet import make
from host_tools.provision.inventory import KEY, Inventory
from host_tools.provision.keys import derive_key, new_key
from host_tools.provision.names import Row
from host_tools.provision.registry import Registry
from tests.flash.bare_bench import run_fieldpost

ROWS = [Row(name) for name in names.from_pattern("shed-{:03}", 12)]


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    return Inventory(tmp_path / "state" / "inventory.db")


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    hub = Hub(tmp_path / "hub")
    await hub.start()
    api = AdminApi(hub)
    await api.start()
    yield hub
    await api.stop()
    await hub.stop()


def test_a_device_that_proves_itself_in_another_way_is_not_locked_out_by_mistake(tmp_path: Path) -> None:
    inventory = Inventory(tmp_path / "inventory.db")
    authority = tmp_path / "ca"
    make(ROWS[:3], "h", inventory)
    with pytest.raises(UserError, match="and 1 more at h has a key already: call it without --certificates"):
        make(ROWS[1:4], "h", inventory, authority)
    assert {entry.auth for entry in inventory.all()} == {KEY}, "nothing has changed"
    assert make(ROWS[1:2], "h", inventory, authority, replaces=True).fresh == {ROWS[1].device}
    with pytest.raises(UserError, match="has a certificate already: call it with --certificates"):
        make(ROWS[:3], "h", inventory)
    assert make(ROWS[:3], "elsewhere", inventory).fresh == {row.device for row in ROWS[:3]}


def test_a_groups_keys_are_those_of_microsofts_example() -> None:
    # Microsoft, "Symmetric key attestation", "Group enrollments": key and registration id of the worked example.
    group = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
    expected = hmac.new(base64.b64decode(group), b"sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6", hashlib.sha256).digest()
    assert derive_key(group, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6") == base64.b64encode(expected).decode()
    assert derive_key(group, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6") == "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
    for wrong in ("", "no base64!", base64.b64encode(b"short").decode()):
        with pytest.raises(UserError, match="the group's key is not right"):
            derive_key(wrong, "a")


def test_an_authority_signs_devices_and_is_found_again(tmp_path: Path) -> None:
    issued = Authority(tmp_path / "ca").issue("shed-1")
    root = x509.load_pem_x509_certificate(Authority(tmp_path / "ca").pem.encode())
    leaf = x509.load_pem_x509_certificate(issued.certificate.encode())
    leaf.verify_directly_issued_by(root)
    assert leaf.subject.rfc4514_string() == "CN=shed-1"
    assert issued.thumbprint == hashlib.sha256(ssl.PEM_cert_to_DER_cert(issued.certificate)).hexdigest().upper()
    assert (tmp_path / "ca").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "ca" / "ca.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "ca" / "ca.pem").write_text(Authority(tmp_path / "other").pem)
    with pytest.raises(UserError, match="is not the key of"):
        Authority(tmp_path / "ca")


def test_openssl_finds_the_chain_good(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    (tmp_path / "leaf.pem").write_text(authority.issue("shed-1").certificate)
    (tmp_path / "code.pem").write_text(authority.prove("106A5SD242AF512B3498BD6098C4941E66R34H268DDB3288"))
    for leaf in ("leaf.pem", "code.pem"):
        command = ["openssl", "verify", "-CAfile", str(tmp_path / "ca" / "ca.pem"), str(tmp_path / leaf)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_again_devices_keep_what_they_have(inventory: Inventory, tmp_path: Path) -> None:
    first = make(ROWS[:2], "h", inventory)
    second = make(ROWS[:3], "h", inventory)
    assert first.fresh == {"shed-001", "shed-002"} and second.fresh == {"shed-003"}
    assert [entry.key for entry in second.entries[:2]] == [entry.key for entry in first.entries]
    assert (tmp_path / "state" / "inventory.db").stat().st_mode & 0o777 == 0o600
    inventory.flashed("shed-001", "esp32", "good")
    found = inventory.get("shed-001")
    assert found is not None and (found.board, found.outcome) == ("esp32", "good") and found.flashed_s
    assert str(found.key) not in repr(found)


async def test_the_registry_takes_what_is_written_for_azure(hub: Hub, inventory: Inventory, tmp_path: Path) -> None:
    made = make(ROWS, "localhost", inventory)
    service = Registry(hub.policies.connection_string("localhost"), hub.ca_file, hub.port)
    await _in_thread(service.put, made.entries)
    await _in_thread(service.put, made.entries)  # again: they are updated
    for entry in made.entries:
        device = hub.devices.get(entry.device)
        assert device is not None and device.primary_key == entry.key
    weak = Registry(hub.policies.connection_string("localhost", "service"), hub.ca_file, hub.port)
    with pytest.raises(UserError, match="localhost answered 401: check the policy's rights"):
        await _in_thread(weak.put, made.entries)
    with pytest.raises(UserError, match="cannot reach localhost"):
        await _in_thread(Registry(hub.policies.connection_string("localhost"), None, hub.port).put, made.entries)


async def _in_thread(function: Any, *arguments: Any) -> Any:
    import asyncio

    return await asyncio.to_thread(function, *arguments)


def test_a_wrong_connection_string_is_not_repeated() -> None:
    with pytest.raises(UserError) as raised:
        Registry("HostName=h;SharedAccessKeyName=x;SharedAccessKey=secret!")
    assert "secret" not in str(raised.value)


def test_files_for_azure_hold_every_device_and_the_script_no_key(inventory: Inventory, tmp_path: Path) -> None:
    group = ("barn", new_key())
    keyed, grouped = make(ROWS[:11], "h.example", inventory), make(ROWS[11:], "h.example", inventory, group=group)
    entries = keyed.entries + grouped.entries
    folder = tmp_path / "out"
    for _ in range(2):
        script = azure_files.write(folder, "h.example", entries, group, None)
    subprocess.run(["sh", "-n", str(script)], check=True)
    text = script.read_text()
    for entry in entries:
        assert str(entry.key) not in text
    assert group[1] not in text
    bodies = {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}
    assert sorted(bodies) == ["devices-1.json", "enrollments-1.json", "enrollments-2.json", "group-1.json"]
    assert all(name in text for name in bodies)
    for name in bodies:
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    enrolled = [one for number in (1, 2) for one in bodies[f"enrollments-{number}.json"]["enrollments"]]
    keys = {one["registrationId"]: one["attestation"]["symmetricKey"]["primaryKey"] for one in enrolled}
    assert keys == {entry.device: entry.key for entry in keyed.entries}
    assert bodies["group-1.json"]["attestation"]["symmetricKey"]["primaryKey"] == group[1]
    assert grouped.entries[0].key == derive_key(group[1], "shed-012")


def test_the_script_asks_az_for_the_right_things(inventory: Inventory, tmp_path: Path) -> None:
    made = make(ROWS[:1], "h.azure-devices.net", inventory, authority_folder=tmp_path / "ca")
    script = azure_files.write(
        tmp_path / "out", "h.azure-devices.net", made.entries, None, Authority(tmp_path / "ca").pem
    )
    stand_in = tmp_path / "bin" / "az"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/sh\necho "$@"\n')
    stand_in.chmod(0o755)
    environment = {"PATH": f"{stand_in.parent}:/usr/bin:/bin"}
    said = {
        words: subprocess.run(
            [script, *words.split()], capture_output=True, text=True, env=environment, check=True
        ).stdout
        for words in ("hub", "dps p")
    }
    assert said["hub"].splitlines() == [
        "iot hub certificate create --hub-name h --name fieldpost --path ca.pem --verified true",
        f"rest --method post --url https://h.azure-devices.net/devices?api-version={documents.HUB_API} "
        "--resource https://iothubs.azure.net --body @devices-1.json",
    ]
    assert "https://p.azure-devices-provisioning.net/enrollments?" in said["dps p"]
    assert subprocess.run([script], capture_output=True, env=environment, check=False).returncode == 2


async def test_devices_that_will_be_assigned_need_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: an id scope is enough, from provisioning to what would be flashed."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FIELDPOST_HUB_CONNECTION_STRING", raising=False)
    (tmp_path / "ca.pem").write_text(Authority(tmp_path / "ca").pem)
    (tmp_path / "fieldpost.toml").write_text(
        '[hub]\nkind = "azure"\nroot_certificate = "ca.pem"\n[provisioning]\nid_scope = "0ne1"\n'
        '[wifi]\nnetworks = ["shed"]\n'
    )
    (tmp_path / "fieldpost.secrets.toml").write_text('[wifi]\nshed = "correct horse"\n')
    (tmp_path / "fieldpost.secrets.toml").chmod(0o600)
    code, out, err = await run_fieldpost(tmp_path, "provision", "a-1", "--out", "out")
    assert code == 0 and "global.azure-devices-provisioning.net" in out, out + err
    script = (tmp_path / "out" / "azure.sh").read_text()
    assert "/enrollments?" in script and "/devices?" not in script and "\nhub)" not in script
    assert not list((tmp_path / "out").glob("devices-*"))
    done = subprocess.run([tmp_path / "out" / "azure.sh", "hub"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr == "say dps NAME\n"
    settings = real_board.Setting(tmp_path / "fieldpost.toml").read()
    monkeypatch.chdir(tmp_path)
    job = real_board.make_job("pico_w", real_board.Where(), real_board.Who("a-1"), real_board.What(), settings)
    hub = job.config("a-1", None)["hub"]
    assert hub["provisioning"] == {"id_scope": "0ne1"} and "host" not in hub
    assert job.identity is not None and job.identity["key"]


@pytest.mark.parametrize("how", ["key", "certificates", "group"])
async def test_the_command_enrols_at_the_local_hub(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    (tmp_path / "fieldpost.toml").write_text('[hub]\nkind = "local"\ndata = "hub"\n')
    words = {"key": [], "certificates": ["--certificates"], "group": ["--group", "barn"]}[how]
    for new in (["a-1", "a-2"], []):
        code, out, err = await run_fieldpost(tmp_path, "provision", "--pattern", "a-{}", "--count", 2, *words, "--json")
        assert code == 0, err
        assert json.loads(out)["new"] == new
    kept = Inventory(tmp_path / "home" / "fieldpost" / "inventory.db").all()
    assert [entry.device for entry in kept] == ["a-1", "a-2"]
    for entry in kept:
        device = hub.devices.get(entry.device)
        assert device is not None
        assert device.authentication == ("certificateAuthority" if how == "certificates" else "sas")
        if how != "certificates":
            assert device.primary_key == entry.key
    if how == "certificates":
        assert hub.authorities.names()
    code, out, err = await run_fieldpost(tmp_path, "provision", "--list")
    assert "a-1" in out and all(str(entry.key) not in out + err for entry in kept if entry.key)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say which devices"),
        (["a", "--csv", "x"], "say which devices"),
        (["A b"], "'A b' cannot be the name of a device"),
        (["--pattern", "shed"], "'shed' is no pattern"),
        (["--pattern", "s{}", "--count", "0"], "--count 0: expected 1 to"),
        (["--csv", "none.csv"], "cannot read none.csv"),
        (["a", "--certificates", "--group", "g"], "give one of them"),
    ],
)
async def test_what_cannot_be_meant_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    code, _, err = await run_fieldpost(tmp_path, "provision", *words)
    assert code == 2 and said in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name\na\n", "line 1: expected a header with device"),
        ("device,colour\na,b\n", "line 1: expected a header with device"),
        ("device,board\na\n", "line 2: it has not as many fields"),
        ("device\na\nB\n", "line 3: 'B' cannot be the name"),
        ("device\na\na\n", "line 3: device a stands there twice"),
        ("device,port\na,/dev/x\nb,/dev/x\n", "port /dev/x stands there twice"),
    ],
)
def test_a_csv_file_that_is_not_right_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(UserError, match=said):
        names.read_csv(tmp_path / "f.csv")


def test_a_csv_file_gives_rows(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("device, board, drive\na, pico_w, d\nb, , \n")
    assert names.read_csv(tmp_path / "f.csv") == [Row("a", "pico_w", None, tmp_path / "d"), Row("b")]
