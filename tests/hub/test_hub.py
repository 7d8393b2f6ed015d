"""The hub over real TLS: what it takes, what it refuses, what it keeps."""

import asyncio
import signal
import sqlite3
import ssl
import stat
import subprocess
import sys
import time

import pytest

from host_tools.errors import UserError
from host_tools.hub import Hub, read_messages
from host_tools.hub.behaviour import Behaviour
from host_tools.hub.mqtt import connection
from tests.hub.hub_bench import COMMANDS, EVENTS, running, until
from tests.hub.raw_device import RawDevice, connect, packet, publish, subscribe, token


def test_a_message_is_stored_with_its_properties_and_then_acknowledged(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await RawDevice.connected(hub, "dev1")
            bag = "%24.mid=m%2F1&%24.ct=application%2Fjson&place=k%C3%BCche&flag&empty="
            device.send(publish(EVENTS + bag, b"hello", 7, dup=True))
            assert await device.receive() == (0x40, b"\x00\x07")
            (message,) = hub.messages("dev1")
            assert (message.message_id, message.body, message.duplicate) == ("m/1", b"hello", True)
            assert message.system["content-type"] == "application/json"
            assert message.properties == {"place": "küche", "flag": None, "empty": ""}
            device.send(packet(0x30, b"\x00\x1d" + EVENTS.encode() + b"q0"))
            await until(lambda: len(list(hub.messages())) == 2)
        assert [m.body for m in read_messages(tmp_path)] == [b"hello", b"q0"]

    run(scenario())


@pytest.mark.parametrize(("bag", "counted"), [("", 0), ("%24.mid=abc", 3), ("k%C3%BC=v", 4), ("flag", 4)])
def test_a_message_may_be_as_large_as_the_limit_and_not_a_byte_larger(run, tmp_path, bag, counted):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await RawDevice.connected(hub, "dev1")
            device.send(publish(EVENTS + bag, bytes(256 * 1024 - counted), 1))
            assert await device.receive() == (0x40, b"\x00\x01")
            device.send(publish(EVENTS + bag, bytes(256 * 1024 - counted + 1), 2))
            assert await device.is_closed()

    run(scenario())


@pytest.mark.parametrize("is_like_the_last", [False, True])
def test_no_acknowledgement_before_the_commit(run, tmp_path, is_like_the_last):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await RawDevice.connected(hub, "dev1")
            if is_like_the_last:
                device.send(publish(EVENTS, b"w", 9))
                assert await device.receive() == (0x40, b"\x00\x09")
            before = list(hub.messages())
            blocker = sqlite3.connect(tmp_path / "hub.sqlite3", isolation_level=None)
            blocker.execute("BEGIN IMMEDIATE")  # the writer must wait for this
            device.send(publish(EVENTS, b"x", 1) + publish(EVENTS, b"y", 2))
            with pytest.raises(TimeoutError):
                await device.receive(timeout=0.5)
            assert list(hub.messages()) == before
            blocker.execute("ROLLBACK")
            assert [await device.receive() for _ in range(2)] == [(0x40, b"\x00\x01"), (0x40, b"\x00\x02")]
            assert [message.body for message in hub.messages()][-2:] == [b"x", b"y"]

    run(scenario())


@pytest.mark.parametrize(
    ("code", "device_id", "password", "user_name"),
    [
        (5, "dev1", "wrong key", None),
        (5, "dev1", "expired", None),
        (5, "dev1", "of dev2", None),
        (5, "dev1", None, None),
        (5, "stranger", "wrong key", None),
        (4, "dev1", "good", "localhost"),
        (4, "dev1", "good", "localhost/dev1/?nothing"),
        (2, "dev1", "good", "localhost/dev2/?api-version=2021-04-12"),
    ],
)
def test_a_connect_that_is_refused_gets_its_code(run, tmp_path, code, device_id, password, user_name):
    async def scenario():
        async with running(tmp_path) as hub:
            key = hub.devices.create("dev1").primary_key
            other = hub.devices.create("dev2").primary_key
            passwords = {
                "good": token(key, "localhost/devices/dev1"),
                "wrong key": token(other, f"localhost/devices/{device_id}"),
                "expired": token(key, "localhost/devices/dev1", int(time.time()) - 1),
                "of dev2": token(other, "localhost/devices/dev2"),
                None: None,
            }
            device = await RawDevice.dial(hub)
            device.send(connect(device_id, passwords[password], user_name))
            assert await device.receive() == (0x20, bytes((0, code)))
            assert await device.is_closed()

    run(scenario())


def test_a_device_cannot_touch_anothers_topics(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            hub.devices.create("dev2")
            for topic in ("devices/dev2/messages/events/", "devices/dev11/messages/events/", "$SYS/x"):
                device = await RawDevice.connected(hub, "dev1")
                device.send(publish(topic, b"x", 1))
                assert await device.is_closed(), topic
            device = await RawDevice.connected(hub, "dev1")
            for topic in ("devices/dev2/messages/devicebound/#", "#", "devices/+/messages/devicebound/#"):
                device.send(subscribe(topic))
                assert await device.receive() == (0x90, b"\x00\x01\x80"), topic
            assert list(hub.messages()) == []

    run(scenario())


def test_what_breaks_the_rules_is_closed_and_others_go_on(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            good = await RawDevice.connected(hub, "good")
            for data in (
                packet(0x34, b"\x00\x01a\x00\x01"),  # QoS 2
                publish(EVENTS, bytes(256 * 1024 + 1), 1),
                b"\x30\xff\xff\xff\xff\x01",
                b"\xff" * 100,
                publish(EVENTS + "%ff=1", b"", 1),
            ):
                device = await RawDevice.connected(hub, "dev1")
                device.send(data)
                assert await device.is_closed(), data[:20]
            stranger = await RawDevice.dial(hub)
            stranger.send(b"\x16\x03\x01 another handshake")
            assert await stranger.is_closed()
            good.send(publish("devices/good/messages/events/", b"still here", 1))
            assert await good.receive() == (0x40, b"\x00\x01")
            assert [m.body for m in hub.messages()] == [b"still here"]

    run(scenario())


def test_the_newer_connection_of_a_device_stays_and_the_log_says_so(run, tmp_path, caplog):
    async def scenario():
        async with running(tmp_path) as hub:
            older = await RawDevice.connected(hub, "dev1")
            newer = await RawDevice.connected(hub, "dev1")
            assert await older.is_closed()
            assert hub.is_connected("dev1")
            assert any("dev1" in line and "400027" in line for line in caplog.text.splitlines())
            newer.send(b"\xc0\x00")
            assert await newer.receive() == (0xD0, b"")
            newer.close()
            await until(lambda: not hub.is_connected("dev1"))

    run(scenario())


def test_a_silent_device_is_closed_and_its_will_is_stored(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await RawDevice.connected(hub, "dev1", keep_alive=1, will=(EVENTS + "a=b", "gone"))
            assert await device.is_closed()
            await until(lambda: len(list(hub.messages())) == 1)
            (message,) = hub.messages()
            assert (message.body, message.properties) == (b"gone", {"a": "b", "iothub-MessageType": "Will"})

    run(scenario())


def test_a_patient_hub_waits_for_devices_whose_seconds_are_long(run, tmp_path, monkeypatch):
    patient = Behaviour(patience=1000)

    async def scenario():
        async with running(tmp_path / "usual") as usual, running(tmp_path / "patient", behaviour=patient) as other:
            devices = [await RawDevice.connected(hub, "dev1", keep_alive=1) for hub in (other, usual)]
            monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.2)  # from the end of a handshake on
            strangers = [await RawDevice.dial(hub) for hub in (other, usual)]
            for stranger in strangers:
                stranger.send(b"\x10")
            assert await strangers[1].is_closed() and await devices[1].is_closed()
            devices[0].send(b"\xc0\x00")
            assert await devices[0].receive() == (0xD0, b"")
            key = other.devices.create("dev2").primary_key
            strangers[0].send(connect("dev2", token(key, "localhost/devices/dev2"))[1:])
            assert await strangers[0].receive() == (0x20, b"\x00\x00")

    run(scenario())


def test_a_token_that_expires_ends_the_connection(run, tmp_path):
    async def scenario():
        now = [1000.0]
        async with running(tmp_path, clock=lambda: now[0]) as hub:
            key = hub.devices.create("dev1").primary_key
            device = await RawDevice.dial(hub)
            device.send(connect("dev1", token(key, "localhost/devices/dev1", 1001)))
            assert await device.receive() == (0x20, b"\x00\x00")
            now[0] = 1001.0
            assert await device.is_closed()

    run(scenario())


def test_a_flood_waits_for_the_disk_instead_of_filling_memory(run, tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "UNCOMMITTED_MAX", 10)

    async def scenario():
        async with running(tmp_path) as hub:
            device = await RawDevice.connected(hub, "dev1")
            for index in range(500):
                device.send(publish(EVENTS, b"x", index + 1))
            acknowledged = [await device.receive() for _ in range(500)]
            assert [int.from_bytes(body, "big") for _, body in acknowledged] == list(range(1, 501))

    run(scenario())


def test_keys_are_private_and_a_taken_port_is_said_plainly(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            for name in ("ca.key", "server.key"):
                assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
            with pytest.raises(UserError, match=f"port {hub.port}"):
                await Hub(tmp_path / "second", port=hub.port).start()

    run(scenario())


def test_the_certificates_and_keys_stay_over_a_restart(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            before = hub.ca_pem, hub.devices.create("dev1")
        async with running(tmp_path) as hub:
            assert (hub.ca_pem, hub.devices.get("dev1")) == before

    run(scenario())


def test_a_sender_that_gives_up_and_a_listener_that_breaks_cost_no_acknowledgement(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:

            def breaks(message):
                raise ValueError("a listener's mistake")

            hub.on_message(breaks)
            device = await RawDevice.connected(hub, "dev1")
            device.send(subscribe(COMMANDS + "#"))
            await device.receive()
            blocker = sqlite3.connect(tmp_path / "hub.sqlite3", isolation_level=None)
            blocker.execute("BEGIN IMMEDIATE")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(hub.send("dev1", b"x", {}), 0.1)
            device.send(publish(EVENTS, b"1", 1) + publish(EVENTS, b"2", 2))
            await asyncio.sleep(0.1)
            blocker.execute("ROLLBACK")
            blocker.close()
            received = [await device.receive() for _ in range(3)]
            assert (0x40, b"\x00\x01") in received and (0x40, b"\x00\x02") in received
            assert any(first & 0xF0 == 0x30 for first, _ in received), "the command that was stored did not come"

    run(scenario())


def test_a_store_that_cannot_be_written_closes_connections_and_recovers(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await RawDevice.connected(hub, "dev1")
            saboteur = sqlite3.connect(tmp_path / "hub.sqlite3", isolation_level=None)
            saboteur.execute("ALTER TABLE events RENAME TO elsewhere")
            device.send(publish(EVENTS, b"x", 1))
            assert await device.is_closed()
            saboteur.execute("ALTER TABLE elsewhere RENAME TO events")
            saboteur.execute("ALTER TABLE commands RENAME TO elsewhere")
            with pytest.raises(UserError, match="not sent"):
                await hub.send("dev1", b"x", {})
            saboteur.execute("ALTER TABLE elsewhere RENAME TO commands")
            saboteur.close()
            device = await RawDevice.connected(hub, "dev1")
            device.send(publish(EVENTS, b"x", 1, dup=True))
            assert await device.receive() == (0x40, b"\x00\x01")
            assert len(list(hub.messages())) == 1

    run(scenario())


def test_a_will_that_could_not_be_published_is_refused_at_once(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            key = hub.devices.create("dev1").primary_key
            for topic in ("devices/dev2/messages/events/", EVENTS + "%ff=1"):
                device = await RawDevice.dial(hub)
                device.send(connect("dev1", token(key, "localhost/devices/dev1"), will=(topic, "gone")))
                assert await device.is_closed(), topic
                assert not hub.is_connected("dev1")
            assert list(hub.messages()) == []

    run(scenario())


def test_a_stranger_cannot_make_the_hub_keep_much(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            stranger = await RawDevice.dial(hub)
            stranger.send(b"\x10\x80\x80\x02")  # CONNECT with 32 KB to come
            assert await stranger.is_closed()

    run(scenario())


def test_a_connection_that_never_says_connect_is_closed(run, tmp_path, monkeypatch):
    async def scenario():
        async with running(tmp_path) as hub:
            monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.2)  # from the end of the handshake on
            stranger = await RawDevice.dial(hub)
            stranger.send(b"\x10")
            assert await stranger.is_closed()

    run(scenario())


@pytest.mark.parametrize("key", ["primary_key", "secondary_key"])
@pytest.mark.parametrize(
    "form", ["localhost/dev1/?api-version=2021-04-12", "localhost/dev1/api-version=2018-06-30&a=b"]
)
def test_both_keys_and_both_forms_of_the_user_name_are_good(run, tmp_path, key, form):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await RawDevice.dial(hub)
            password = token(getattr(hub.devices.create("dev1"), key), "localhost/devices/dev1")
            device.send(connect("dev1", password, form))
            assert await device.receive() == (0x20, b"\x00\x00")

    run(scenario())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls_are_spoken(run, tmp_path, version):
    async def scenario():
        async with running(tmp_path) as hub:
            device = await RawDevice.dial(hub, version)
            assert device.writer.get_extra_info("ssl_object").version() == version.name.replace("_", ".")

    run(scenario())


def test_a_second_hub_in_the_same_folder_is_refused(run, tmp_path):
    async def scenario():
        async with running(tmp_path):
            second = Hub(tmp_path)
            with pytest.raises(UserError, match="already runs"):
                await second.start()
            await second.stop()

    run(scenario())


KILLED_HUB = """
import asyncio, sys
from pathlib import Path
from host_tools.hub import Hub
async def main():
    hub = Hub(Path(sys.argv[1]))
    hub.devices.create("dev1")
    await hub.start()
    print(hub.port, flush=True)
    await asyncio.sleep(3600)
asyncio.run(main())
"""


def test_kill_9_loses_no_acknowledged_message(run, tmp_path):
    """Goal: whatever was acknowledged is in the store after SIGKILL in the middle of a stream."""

    async def scenario(port):
        hub = Hub(tmp_path)  # for its certificates and keys; it does not listen
        hub.port = port
        device = await RawDevice.connected(hub, "dev1")
        for index in range(2000):
            device.send(publish(EVENTS, b"%d" % (index + 1), index + 1))
        acknowledged = set()
        while len(acknowledged) < 300:
            acknowledged.add(int.from_bytes((await device.receive())[1], "big"))
        process.send_signal(signal.SIGKILL)
        while (received := await device.receive()) is not None:
            acknowledged.add(int.from_bytes(received[1], "big"))
        return acknowledged

    process = subprocess.Popen([sys.executable, "-c", KILLED_HUB, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        acknowledged = run(scenario(int(process.stdout.readline())))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    stored = {int(message.body) for message in read_messages(tmp_path)}
    assert acknowledged <= stored and len(acknowledged) >= 300


def test_an_independent_client_is_served(run, tmp_path):
    """paho-mqtt over TLS: telemetry out, a command in."""
    import paho.mqtt.client as paho

    async def scenario():
        async with running(tmp_path) as hub:
            key = hub.devices.create("dev1").primary_key
            received = []
            client = paho.Client(paho.CallbackAPIVersion.VERSION2, "dev1", protocol=paho.MQTTv311)
            (tmp_path / "root.pem").write_text(hub.ca_pem)
            client.tls_set(str(tmp_path / "root.pem"))
            client.username_pw_set("localhost/dev1/?api-version=2021-04-12", token(key, "localhost/devices/dev1"))
            client.on_message = lambda *event: received.append(event[2].payload)
            client.on_connect = lambda *_: client.subscribe(COMMANDS + "#", 1)
            client.connect_async("localhost", hub.port)
            client.loop_start()
            try:
                await until(lambda: hub.is_connected("dev1"))
                for index in range(20):
                    client.publish(EVENTS + f"n={index}", b"%d" % index, qos=1)
                await until(lambda: len(list(hub.messages())) == 20)
                await hub.send("dev1", b"hello", {})
                await until(lambda: received == [b"hello"] and hub.pending("dev1") == 0)
            finally:
                client.disconnect()
                client.loop_stop()

    run(scenario())
