"""fieldpost.toml: what is wrong is told with file, line, key and what is expected; secrets are never told at all."""

import base64
from pathlib import Path

import pytest

from host_tools import boards
from host_tools.config import Secrets, read_secrets, read_settings, settings_text, write_secrets
from host_tools.config.secrets import ENVIRONMENT
from host_tools.config.toml_file import key_lines
from host_tools.errors import UserError

GOOD = """\
# comment
[hub]
kind = "azure"
host = "h.example"   # comment

[readings]
interval_ms = 500

[wifi]
networks = [
  "shed",
]
"""
PASSWORD = "correct horse"


def _settings(folder: Path, text: str):
    path = folder / "fieldpost.toml"
    path.write_text(text)
    return read_settings(path)


def test_what_stands_there_is_what_is_meant(tmp_path: Path) -> None:
    found = _settings(tmp_path, GOOD)
    assert (found.hub_host, found.hub_port, found.interval_ms, found.networks) == ("h.example", 8883, 500, ("shed",))
    assert found.device_settings() == {
        "sample_interval_ms": 500,
        "wifi": [{"ssid": "shed"}],
        "ntp_hosts": ["pool.ntp.org", "time.cloudflare.com", "time.windows.com"],
    }


def test_how_messages_are_written_and_ordered_reaches_the_device(tmp_path: Path) -> None:
    found = _settings(tmp_path, GOOD + '[messages]\nencoding = "cbor"\norder = "live"\nper_second = 20\n')
    batch = found.device_settings()["batch"]
    assert batch == {"encoding": "cbor", "order": "live", "per_second": 20}


def test_every_setting_of_messages_link_and_commands_reaches_the_device(tmp_path: Path) -> None:
    text = GOOD + "[messages]\nage_ms = 60000\nbytes_max = 4000\n[link]\nkeepalive_s = 600\nwindow = 4\n"
    found = _settings(tmp_path, text + '[commands]\nper_minute = 6\nsigned = ["gpio.set"]\n').device_settings()
    assert found["batch"] == {"age_ms": 60000}, "what a device takes by itself is not sent"
    assert (found["keepalive_s"], found["window"]) == (600, 4)
    assert found["commands"] == {"per_minute": 6, "signed": ["gpio.set"]}
    boards.load("pico_w").device_config("a", "h.example", **found)  # is what a device takes


def test_the_key_that_signs_commands_lies_with_the_secrets(tmp_path: Path) -> None:
    key = base64.b64encode(bytes(range(32))).decode()
    path = write_secrets(tmp_path, Secrets({}, None, key))
    found = read_secrets(tmp_path)
    assert found.for_commands(["gpio.set"]) == found.for_commands(None) == {"command_key": key}
    path.write_text(path.read_text().replace(key, "c2VjcmV0"))
    with pytest.raises(UserError, match=r"commands\.key is not right") as error:
        read_secrets(tmp_path)
    assert "c2VjcmV0" not in str(error.value)
    assert Secrets({}).for_commands(None) == {}
    with pytest.raises(UserError, match="there is no key for them: write one into"):
        Secrets({}).for_commands(["gpio.set"])


def test_without_a_file_the_local_hub_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = read_settings()
    assert found.is_local and found.path is None and found.hub_host is None


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    found = _settings(tmp_path, '[hub]\nkind = "local"\ndata = "hub"\n')
    assert found.hub_data == tmp_path / "hub"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "interval_ms = 500",
            "interval_ms = 5",
            "line 7: readings.interval_ms is 5: expected an integer from 50 to 86400000",
        ),
        (
            "interval_ms = 500",
            "interval = 5",
            "line 7: readings.interval is not a known key: expected one of interval_ms",
        ),
        ('kind = "azure"', 'kind = "aws"', 'line 3: hub.kind is "aws": expected one of local, azure'),
        ('kind = "azure"\n', "", "line 2: hub.kind is missing: expected one of local, azure"),
        ('"shed",', '"shed", 7', "line 10: wifi.networks[1] is 7: expected a network name"),
        ("[readings]", "[reading]", "line 6: reading is not a known key: expected one of hub, provisioning"),
        ("interval_ms = 500", "interval_ms = ", "line 7: this is no TOML: invalid value"),
        ("[wifi]", "[hub]", "this is no TOML: cannot declare"),
        ('host = "h.example"   # comment', "", "line 2: hub.host is missing: expected the hub's host name"),
        ('[hub]\nkind = "azure"\nhost = "h.example"   # comment', "hub.kind = 7", "line 2: hub.kind is 7: expected"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(UserError) as raised:
        _settings(tmp_path, GOOD.replace(old, new, 1))
    assert str(raised.value).startswith(str(tmp_path / "fieldpost.toml"))
    assert said in str(raised.value)


def test_an_absent_file_is_told_how_to_make(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="make one with `fieldpost init`"):
        read_settings(tmp_path / "none.toml")


def test_lines_of_keys_are_found_past_texts_over_several_lines() -> None:
    text = 'a = """\nb = 1\n"""\nb = 2\n[t."x y"]\n"c" = 3\n[[u]]\nd.e = 4\n'
    assert key_lines(text) == {"a": 1, "b": 4, "t.x y": 5, "t.x y.c": 6, "u": 7, "u.d.e": 8}


@pytest.mark.parametrize("hub", [None, "h.example"])
def test_the_file_that_is_written_is_right(tmp_path: Path, hub: str | None) -> None:
    found = _settings(tmp_path, settings_text(hub, ["shed", 'a "quoted" ü'], 250))
    assert (found.hub_host, found.networks, found.interval_ms) == (hub, ("shed", 'a "quoted" ü'), 250)


def test_secrets_are_private_and_come_back(tmp_path: Path) -> None:
    words = {"shed": PASSWORD, 'q"\\': 'w"\\', "ü \U0001f4e1": "\x7f \U0001f511"}
    path = write_secrets(tmp_path, Secrets(words))
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_secrets(tmp_path).wifi == words
    assert PASSWORD not in repr(read_secrets(tmp_path))


def test_secrets_that_others_may_read_are_refused(tmp_path: Path) -> None:
    path = write_secrets(tmp_path, Secrets({"shed": PASSWORD}))
    path.chmod(0o640)
    with pytest.raises(UserError, match="chmod 600"):
        read_secrets(tmp_path)


def test_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_secrets(tmp_path, Secrets({"shed": "old", "barn": "b"}))
    monkeypatch.setenv(ENVIRONMENT, '{"shed": "new"}')
    assert read_secrets(tmp_path).for_networks(["barn", "shed"]) == {"barn": "b", "shed": "new"}
    monkeypatch.setenv(ENVIRONMENT, '{"shed": ' + PASSWORD)
    with pytest.raises(UserError) as raised:
        read_secrets(tmp_path)
    assert PASSWORD not in str(raised.value)


def test_a_missing_password_names_the_network_and_a_wrong_one_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="network 'shed' has no password"):
        read_secrets(tmp_path).for_networks(["shed"])
    path = write_secrets(tmp_path, Secrets({"shed": PASSWORD * 20}))
    with pytest.raises(UserError) as raised:
        read_secrets(tmp_path)
    assert f"{path}, line 4: wifi.shed is not right" in str(raised.value)
    assert PASSWORD not in str(raised.value)


def test_a_broker_an_assignment_and_addresses_reach_the_device(tmp_path: Path) -> None:
    text = '[hub]\nkind = "plain"\nhost = "b"\ntls = false\ntopics.status = "s/{device_id}"\n'
    text += '[wifi]\nnetworks = ["shed"]\naddresses.shed = { address = "10.0.0.9", gateway = "10.0.0.1" }\n'
    text += '[status_led]\ngpio = "LED"\n'
    found = _settings(tmp_path, text)
    assert found.hub_settings() == {
        "dialect": "plain",
        "tls": False,
        "topics": {"status": "s/{device_id}"},
        "twin": False,
        "methods": False,
    }
    device = found.device_settings()
    assert device["wifi"] == [
        {"ssid": "shed", "address": "10.0.0.9", "netmask": "255.255.255.0", "gateway": "10.0.0.1"}
    ]
    assert device["status_led"] == {"gpio": "LED", "inverted": False}
    found = _settings(tmp_path, GOOD + '[provisioning]\nid_scope = "0ne1"\n')
    assert found.hub_settings() == {"provisioning": {"id_scope": "0ne1"}}
    assert found.hub_port == 8883 and found.names_hub
    assert found.first_server == ("global.azure-devices-provisioning.net", 8883)
    found = _settings(tmp_path, '[hub]\nkind = "azure"\n[provisioning]\nid_scope = "0ne1"\n')
    assert not found.names_hub and not found.is_local
    assert found.hub_host == "global.azure-devices-provisioning.net"
    found = _settings(tmp_path, '[hub]\nkind = "azure"\nhost = "h"\ntransport = "websockets"\n')
    assert found.hub_settings() == {"transport": "websockets"} and found.hub_port == 443
    for text, said in (
        ('[hub]\nkind = "azure"\nhost = "h"\ntls = false\n', "hub.tls is false: expected true"),
        ('[hub]\nkind = "azure"\n', "hub.host is missing: .* provisioning.id_scope"),
        ('[hub]\nkind = "local"\ntopics.status = "s"\n', "hub.topics is for kind plain"),
        ('[hub]\nkind = "plain"\nhost = "h"\n[provisioning]\nid_scope = "0"\n', "provisioning.id_scope is for Azure"),
        (
            '[hub]\nkind = "local"\n[wifi]\naddresses.a = { address = "1.1.1.1", gateway = "1.1.1.2"}\n',
            "for no net",
        ),
        (
            '[hub]\nkind = "local"\n[wifi]\nnetworks = ["a"]\naddresses.a = {address="1.1.1.256", gateway="1.1.1.2"}\n',
            "line 5: wifi.addresses.a.address is .*: expected an IPv4 address",
        ),
        ('[hub]\nkind = "plain"\nhost = "h"\ntopics.status = "s/#"\n', "line 4: hub.topics.status is .*without wildc"),
        ('[hub]\nkind = "plain"\nhost = "h"\ntopics.telemetry = "s"\n', "line 4: hub.topics.telemetry lacks"),
        ('[hub]\nkind = "local"\n[status_led]\ngpio = 64\n', 'line 4: status_led.gpio is 64: .* 0 to 63, or "LED"'),
    ):
        with pytest.raises(UserError, match=said):
            _settings(tmp_path, text)


def test_a_brokers_password_is_kept_apart_and_the_user_is_the_device(tmp_path: Path) -> None:
    write_secrets(tmp_path, Secrets({"shed": PASSWORD}, (None, "sesame")))
    found = read_secrets(tmp_path)
    assert found.for_broker("shed-1") == {"username": "shed-1", "password": "sesame"}
    assert "sesame" not in repr(found)
    write_secrets(tmp_path, Secrets({}, ("field", "sesame")))
    assert read_secrets(tmp_path).for_broker("shed-1")["username"] == "field"
    assert Secrets({}).for_broker("shed-1") == {}
