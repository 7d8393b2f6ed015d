"""The hub as a command: `fieldpost hub`, run as people run it, with a raw device at the other end."""

import asyncio
import base64
import contextlib
import csv
import hashlib
import hmac
import http.client
import json
import os
import signal
import ssl
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest

from host_tools.hub.client import HubClient
from tests.hub.raw_device import RawDevice, connect, puback, publish, subscribe, take_publish, token
from tests.hub.raw_topics import publish_0, subscribe_all, take_event

FIELDPOST = [sys.executable, "-c", "from host_tools.cli import main; main()", "hub"]


def fieldpost(*arguments, check=True):
    shown = subprocess.run([*FIELDPOST, *arguments], capture_output=True, text=True, timeout=300)
    assert not check or shown.returncode == 0, shown.stderr
    return shown


@pytest.fixture
def hub(tmp_path):
    """A running `fieldpost hub run` on free ports."""
    data = str(tmp_path / "hub")
    ports = ["--mqtt-port", "0", "--https-port", "0", "--amqp-port", "0"]
    process = subprocess.Popen([*FIELDPOST, "run", "--data", data, *ports], stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("ready: mqtts ")
        port = int(line.split()[2].rstrip(","))
        ca_pem = (tmp_path / "hub" / "ca.pem").read_text()
        yield SimpleNamespace(data=data, port=port, ca_pem=ca_pem, process=process, folder=tmp_path / "hub")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        process.stdout.close()


@contextlib.asynccontextmanager
async def a_device(hub, device_id="dev1"):
    made = json.loads(fieldpost("device", "create", device_id, "--data", hub.data, "--json").stdout)
    parts = dict(part.split("=", 1) for part in made["connection_string"].split(";"))
    assert (parts["HostName"], parts["DeviceId"]) == ("localhost", device_id)
    device = await RawDevice.dial(hub)
    device.send(connect(device_id, token(parts["SharedAccessKey"], f"localhost/devices/{device_id}")))
    assert await device.receive() == (0x20, b"\x00\x00")
    yield device
    device.close()


async def command(*arguments):
    return await asyncio.to_thread(fieldpost, *arguments)


async def test_a_day_with_the_hub(hub, tmp_path):
    at = ["--data", hub.data]
    async with a_device(hub) as device:
        device.send(subscribe("devices/dev1/messages/devicebound/#"))
        await device.receive()
        shown = await command("send", "dev1", "open", "--property", "a=1", "--property", "b=x=y", "--ack", "full", *at)
        assert "queued for dev1 as " in shown.stdout
        topic, body, packet_id, _ = take_publish(await device.receive())
        assert body == b"open" and "a=1&b=x%3Dy" in topic and "iothub-ack=full" in topic
        device.send(puback(packet_id))

        device.send(subscribe_all("$iothub/methods/POST/#", "$iothub/twin/PATCH/properties/desired/#"))
        await device.receive()
        call = asyncio.create_task(command("method", "dev1", "blink", '{"n": 2}', "--json", *at))
        topic, body = take_event(await device.receive())
        assert json.loads(body) == {"n": 2}
        device.send(publish_0(f"$iothub/methods/res/200/?$rid={topic.partition('=')[2]}", b'{"ok": true}'))
        assert json.loads((await call).stdout) == {"status": 200, "payload": {"ok": True}}

        shown = await command("twin", "dev1", "--desired", '{"interval": 5}', *at)
        assert json.loads(shown.stdout)["properties"]["desired"]["interval"] == 5
        assert json.loads(take_event(await device.receive())[1])["interval"] == 5
        assert "connected" in (await command("devices", *at)).stdout

        for index, body in enumerate((b'{"t": 21.5}', b"\xff\x00", "ü".encode())):
            device.send(publish(f"devices/dev1/messages/events/n={index}", body, index + 1))
            await device.receive()
    found = [json.loads(line) for line in fieldpost("messages", "--json", *at).stdout.splitlines()]
    assert [one.get("body", one.get("body_base64")) for one in found] == ['{"t": 21.5}', "/wA=", "ü"]
    assert found[0]["properties"] == {"n": "0"} and found[0]["device_id"] == "dev1"
    assert fieldpost("messages", "--last", "1", *at).stdout.count("\n") == 1
    fieldpost("export", str(tmp_path / "all.jsonl"), *at)
    assert [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()] == found
    fieldpost("export", str(tmp_path / "all.csv"), *at)
    with (tmp_path / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["body"] or row["body_base64"] for row in rows] == ['{"t": 21.5}', "/wA=", "ü"]
    assert json.loads(rows[0]["properties"]) == {"n": "0"}
    fieldpost("device", "delete", "dev1", *at)
    assert fieldpost("send", "dev1", "x", *at, check=False).returncode == 2


def test_the_page_is_where_the_command_says(hub):
    address = fieldpost("page", "--data", hub.data).stdout.strip()
    place, _, token = address.partition("#token=")
    assert token == json.loads((hub.folder / "api.json").read_text())["token"]
    with urllib.request.urlopen(place) as page:
        assert b"<title>fieldpost hub</title>" in page.read()
    with urllib.request.urlopen(f"https://localhost:{hub.port}/", context=trusting(hub)) as page:
        assert b"<title>fieldpost hub</title>" in page.read()
    ask = urllib.request.Request(f"{place}admin/view/devices", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(ask) as answer:
        assert json.loads(answer.read())["hub"]["devices"] == 0


def trusting(hub):
    return ssl.create_default_context(cadata=hub.ca_pem)


def test_back_ends_are_told_what_to_connect_with(hub):
    found = json.loads(fieldpost("service", "--json", "--data", hub.data).stdout)
    service = dict(part.split("=", 1) for part in found["service_connection_string"].split(";"))
    host, port = service["HostName"].split(":")
    signed = token(service["SharedAccessKey"], service["HostName"]) + f"&skn={service['SharedAccessKeyName']}"
    context = ssl.create_default_context(cafile=found["ca_file"])
    for authorization, status in ((signed, 200), (signed.replace("iothubowner", "device"), 401), ("", 401)):
        asking = http.client.HTTPSConnection(host, int(port), context=context, timeout=10)
        asking.request("GET", "/statistics/devices?api-version=2021-04-12", headers={"Authorization": authorization})
        assert asking.getresponse().status == status
        asking.close()
    events = dict(part.split("=", 1) for part in found["events_connection_string"].split(";"))
    assert events["Endpoint"] == "sb://localhost/" and events["EntityPath"] == "events"
    assert events["SharedAccessKeyName"] == "service" and events["SharedAccessKey"] != service["SharedAccessKey"]
    assert fieldpost("service", "--data", hub.data).stdout.splitlines() == list(found.values())


async def test_messages_are_followed_as_they_come(hub):
    async with a_device(hub) as device:
        device.send(publish("devices/dev1/messages/events/", b"before", 1))
        await device.receive()
        follower = await asyncio.create_subprocess_exec(
            *FIELDPOST, "messages", "--follow", "--json", "--data", hub.data, stdout=subprocess.PIPE
        )
        assert json.loads(await asyncio.wait_for(follower.stdout.readline(), 120))["body"] == "before"
        device.send(publish("devices/dev1/messages/events/", b"after", 2))
        assert json.loads(await asyncio.wait_for(follower.stdout.readline(), 120))["body"] == "after"
        follower.send_signal(signal.SIGINT)
        assert await follower.wait() in (0, 130)


async def test_a_device_is_disconnected_disabled_and_let_in_again(hub):
    at = ["--data", hub.data]
    async with a_device(hub) as device:
        await command("device", "disconnect", "dev1", *at)
        assert await device.is_closed()
    async with a_device(hub) as device:
        await command("device", "disable", "dev1", *at)
        assert await device.is_closed()
    with pytest.raises(AssertionError):
        async with a_device(hub):
            pass
    await command("device", "enable", "dev1", *at)
    async with a_device(hub) as device:
        device.send(b"\xc0\x00")
        assert await device.receive() == (0xD0, b"")


async def test_what_may_be_chosen_of_the_hubs_behaviour(tmp_path):
    data = tmp_path / "hub"
    ports = ["--mqtt-port", "0", "--https-port", "0", "--amqp-port", "0"]
    chosen = ["--sas-grace", "10m", "--max-deliveries", "1", "--command-ttl", "1h"]
    with subprocess.Popen(
        [*FIELDPOST, "run", "--data", str(data), *ports, *chosen], stdout=subprocess.PIPE, text=True
    ) as process:
        port = int(process.stdout.readline().split()[2].rstrip(","))
        hub = SimpleNamespace(port=port, ca_pem=(data / "ca.pem").read_text())
        made = json.loads((await command("device", "create", "dev1", "--json", "--data", str(data))).stdout)
        key = made["connection_string"].partition("SharedAccessKey=")[2]
        expired = token(key, "localhost/devices/dev1", int(time.time()) - 60)
        await command("send", "dev1", "x", "--ack", "full", "--data", str(data))
        device = await RawDevice.dial(hub)
        device.send(connect("dev1", expired))
        assert await device.receive() == (0x20, b"\x00\x00"), "a minute is within the grace"
        device.send(subscribe("devices/dev1/messages/devicebound/#"))
        await device.receive()
        assert take_publish(await device.receive())[1] == b"x"
        device.close()
        client = HubClient(data)
        async with asyncio.timeout(120):
            while not (records := (await asyncio.to_thread(client.ask, "GET", "feedback"))["records"]):
                await asyncio.sleep(0.05)
        assert records[0]["statusCode"] == "DeliveryCountExceeded"
        process.send_signal(signal.SIGTERM)


def test_a_hub_that_is_told_a_device_prints_its_connection_string(tmp_path):
    data = str(tmp_path / "hub")
    ports = ["--mqtt-port", "0", "--https-port", "0", "--amqp-port", "0"]
    with subprocess.Popen(
        [*FIELDPOST, "run", "--data", data, *ports, "--device", "dev1", "--device", "dev2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        printed = [process.stderr.readline().strip() for _ in range(2)]
        assert process.stdout.readline().startswith("ready: ")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0 and process.stdout.read() == ""
    made = json.loads(fieldpost("device", "create", "dev1", "--json", "--data", data).stdout)
    assert printed[0] == made["connection_string"] and "DeviceId=dev2;" in printed[1]


def test_a_device_can_be_made_before_the_hub_runs(tmp_path):
    data = ["--data", str(tmp_path / "new")]
    made = json.loads(fieldpost("device", "create", "dev1", "--json", *data).stdout)
    again = json.loads(fieldpost("device", "create", "dev1", "--json", *data).stdout)
    assert made == again and os.path.isfile(made["ca_file"])
    shown = fieldpost("device", "create", "x509", "--thumbprint", "ab" * 32, "--json", *data).stdout
    assert json.loads(shown)["connection_string"].endswith("x509=true")
    shown = fieldpost("device", "create", "a/b", *data, check=False)
    assert shown.returncode == 2 and "device id 'a/b'" in shown.stderr


def test_only_who_has_the_token_is_answered(hub):
    path = hub.folder / "api.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = json.loads(path.read_text())
    assert found["url"].startswith("http://127.0.0.1:")
    for headers, status in (({}, 401), ({"Authorization": "Bearer x"}, 401)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(found["url"] + "/devices", headers=headers))
        assert refused.value.code == status
    good = {"Authorization": f"Bearer {found['token']}"}
    with urllib.request.urlopen(urllib.request.Request(found["url"] + "/devices", headers=good)) as answer:
        assert json.loads(answer.read()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["send", "nobody", "x"], "the hub knows no device 'nobody'"),
        (["send", "dev1", "x", "--property", "a"], "'a' is not KEY=VALUE"),
        (["send", "dev1", "x", "--ack", "maybe"], "iothub-ack=maybe"),
        (["send", "dev1", "x" * 70_000], "65536"),
        (["method", "dev1", "m", "{"], "'{' is no JSON"),
        (["method", "dev1", "a/b"], "method name 'a/b'"),
        (["method", "dev1", "m", "--timeout", "1000s"], "300 s"),
        (["twin", "dev1", "--desired", "[]"], "an object is expected"),
        (["twin", "dev1", "--desired", '{"a.b": 1}'], "a.b"),
        (["export", "all.txt"], ".jsonl or .csv"),
        (["device", "authority", "x", "/none"], "cannot read /none"),
        (["run", "--tier", "S9"], "tier 'S9'"),
        (["run", "--mqtt-port", "0"], "already runs"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(hub, arguments, sentence):
    fieldpost("device", "create", "dev1", "--data", hub.data)
    shown = fieldpost(*arguments, "--data", hub.data, check=False)
    assert shown.returncode == 2 and sentence in shown.stderr, shown.stderr
    assert shown.stderr.startswith("fieldpost: ") and shown.stderr.count("\n") == 1


def test_enrolling_a_group_prints_what_its_devices_need(hub):
    shown = fieldpost("enroll", "factory", "--group", "--device-key", "sn-1", "--json", "--data", hub.data)
    found = json.loads(shown.stdout)
    assert found["id_scope"].startswith("0ne") and found["registration_id"] == "sn-1"
    digest = hmac.new(base64.b64decode(found["primary_key"]), b"sn-1", hashlib.sha256).digest()
    assert base64.b64decode(found["device_key"]) == digest
    again = json.loads(fieldpost("enroll", "factory", "--group", "--json", "--data", hub.data).stdout)
    assert again["primary_key"] == found["primary_key"], "enrolling again keeps the keys"
    shown = fieldpost("enroll", "x", "--device-key", "sn-1", "--data", hub.data, check=False)
    assert shown.returncode == 2 and "--group" in shown.stderr


def test_a_method_that_nobody_answers_is_told_with_exit_1(hub):
    fieldpost("device", "create", "dev1", "--data", hub.data)
    shown = fieldpost("method", "dev1", "m", "--data", hub.data, check=False)
    assert shown.returncode == 1 and "'dev1' is not connected" in shown.stderr


@pytest.mark.parametrize("verb", [["send", "d", "x"], ["devices"], ["method", "d", "m"], ["twin", "d"], ["messages"]])
def test_without_a_hub_it_says_how_to_start_one(tmp_path, verb):
    shown = fieldpost(*verb, "--data", str(tmp_path), check=False)
    assert shown.returncode == 2 and "start" in shown.stderr and "hub" in shown.stderr
