"""The doctor finds what was broken on purpose, names it, and leaves what runs alone."""

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from host_tools.doctor import board, local_hub, network
from host_tools.doctor.finding import Finding
from host_tools.emulator.bare import stand_in_firmware
from host_tools.hub import Hub
from host_tools.hub.service.admin import AdminApi
from tests.flash.bare_bench import on_the_table, run_fieldpost, run_tool


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    hub = Hub(tmp_path / "hub")
    await hub.start()
    api = AdminApi(hub)
    await api.start()
    yield hub
    await api.stop()
    await hub.stop()


def _by_name(found: list[Finding]) -> dict[str, Finding]:
    return {one.about: one for one in found}


async def test_a_good_hub_is_good_and_each_fault_has_its_name(hub: Hub, tmp_path: Path) -> None:
    found = _by_name(await asyncio.to_thread(network.hub, "localhost", hub.port, hub.ca_der))
    assert all(one.is_good for one in found.values()) and set(found) == {"name", "hub", "certificate"}
    other = Hub(tmp_path / "other")
    found = _by_name(await asyncio.to_thread(network.hub, "localhost", hub.port, other.ca_der))
    await other.stop()
    assert found["hub"].is_good is False and "hub.root_certificate" in found["hub"].says
    found = _by_name(await asyncio.to_thread(network.hub, "nowhere.invalid", 8883, None))
    assert "cannot be found" in found["name"].says
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    found = _by_name(await asyncio.to_thread(network.hub, "localhost", free, None))
    assert "cannot be reached" in found["hub"].says


async def test_a_port_without_tls_is_told(hub: Hub) -> None:
    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 welcome\r\n")
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(chatter, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    found = _by_name(await asyncio.to_thread(network.hub, "localhost", port, None))
    server.close()
    assert "speaks no TLS" in found["hub"].says


@pytest.mark.parametrize(
    ("answer", "is_good", "says"),
    [
        (b"\x20\x02\x00\x00", True, "for anybody to read"),
        (b"\x20\x02\x00\x05", True, "for anybody to read"),
        (b"\x15\x03\x03\x00\x02\x02\x46", False, "does it want hub.tls = true?"),
        (b"", False, "does it want hub.tls = true?"),
    ],
)
async def test_a_broker_without_tls_is_not_asked_for_any(
    tmp_path: Path, answer: bytes, is_good: bool, says: str
) -> None:
    heard = b""

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        heard += await reader.read(100)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(broker, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    text = f'[hub]\nkind = "plain"\nhost = "localhost"\nport = {port}\ntls = false\n[time]\nservers = ["127.0.0.1"]\n'
    (tmp_path / "fieldpost.toml").write_text(text)
    _, out, err = await run_fieldpost(tmp_path, "doctor", "--json")
    server.close()
    found = {one["about"]: one for one in json.loads(out)["findings"]}
    assert found["hub"]["is_good"] is is_good and says in found["hub"]["says"], out + err
    assert heard.startswith(b"\x10\x0c\x00\x04MQTT"), "a CONNECT, not a TLS handshake"


async def test_devices_of_a_service_that_assigns_hubs_turn_to_it_first(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(hub.ca_file.read_bytes())
    (tmp_path / "fieldpost.toml").write_text(
        '[hub]\nkind = "azure"\nroot_certificate = "ca.pem"\n[time]\nservers = ["127.0.0.1"]\n'
        f'[provisioning]\nid_scope = "0ne1"\nhost = "localhost"\nport = {hub.port}\n'
    )
    _, out, err = await run_fieldpost(tmp_path, "doctor", "--json")
    found = {one["about"]: one for one in json.loads(out)["findings"]}
    assert found["hub"]["is_good"] and f"localhost:{hub.port} answers" in found["hub"]["says"], out + err


@pytest.mark.parametrize(("ahead_s", "is_good"), [(0, True), (-3600, False)])
def test_the_clock_is_compared(ahead_s: int, is_good: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def answer() -> None:
            asked, who = server.recvfrom(100)
            assert asked[0] & 7 == 3  # a client
            server.sendto(bytes(40) + struct.pack("!II", int(time.time()) + 2_208_988_800 - ahead_s, 0), who)

        thread = threading.Thread(target=answer)
        thread.start()
        (found,) = network.clock(["127.0.0.1"], server.getsockname()[1])
        thread.join()
    assert found.is_good is is_good
    assert is_good or "3600 s behind" in found.says or "s behind" in found.says


def test_a_silent_time_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_TIMEOUT_S", 0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        (found,) = network.clock(["127.0.0.1"], server.getsockname()[1])
    assert found.is_good is False and "no time server answers" in found.says


async def test_the_local_hub_tells_of_a_device(hub: Hub, tmp_path: Path) -> None:
    hub.devices.create("shed-1")
    found = _by_name(await asyncio.to_thread(local_hub.look, hub.directory, "shed-1"))
    assert found["local hub"].is_good and "disconnected now" in found["device"].says
    found = _by_name(await asyncio.to_thread(local_hub.look, hub.directory, "shed-2"))
    assert "knows no device" in found["local hub"].says
    found = _by_name(local_hub.look(tmp_path / "none", None))
    assert "fieldpost hub run" in found["local hub"].says


async def test_boards_in_every_condition(tmp_path: Path, micropython: Path) -> None:
    async def look(port: object) -> dict[str, Finding]:
        return _by_name(await asyncio.to_thread(board.look, str(port)))

    assert "does not exist" in (await look("/dev/none"))["port"].says
    (tmp_path / "fw.bin").write_bytes(stand_in_firmware("esp32"))
    async with on_the_table("esp32", tmp_path / "board", micropython) as bare:
        port = ["--port", bare.serial_port]
        code, said = await run_tool("esptool", *port, "write-flash", "0x1000", tmp_path / "fw.bin")
        assert code == 0, said
        found = await look(bare.serial_port)
        assert found["MicroPython"].is_good and "--device NAME" in found["identity"].says
        status = {"boot": 3, "uptime_ms": 5000, "state": "waiting", "pending": 7, "error": "no route", "lost": 2}
        line = "status: " + json.dumps(status)
        program = f"import time\nwhile True:\n    print({line!r})\n    time.sleep(0.2)\n"
        lines = f"with open('main.py', 'w') as file: file.write({program!r})"
        code, said = await run_tool("mpremote", "connect", bare.serial_port, "exec", lines, "+", "reset")
        assert code == 0, said
        assert bare.board is not None
        await bare.board.wait_line("status")
        boots = bare.board.boots
        found = await look(bare.serial_port)
        assert found["agent"].is_good and "boot 3" in found["agent"].says
        assert "waiting, because of: no route; 7 records wait" in found["link"].says
        assert found["sensor"].is_good is False and "2 records were lost" in found["ring"].says
        status |= {"state": "ready", "acked": 5, "lost": 0, "error": None, "reading": {"temperature": 1}}
        assert _by_name(board._of_status(status))["link"].is_good
        assert bare.board.boots == boots, "a running board was disturbed"


async def test_the_command_says_what_is_wrong_and_exits_1(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "fieldpost.toml").write_text('[hub]\nkind = "local"\ndata = "hub"\n')
    code, out, err = await run_fieldpost(tmp_path, "doctor", "--json")
    assert code == 0, out + err
    found: dict[str, Any] = {one["about"]: one for one in json.loads(out)["findings"]}
    assert found["hub"]["is_good"] and found["certificate"]["is_good"]
    (tmp_path / "fieldpost.toml").write_text('[hub]\nkind = "local"\nport = 0\n')
    code, out, err = await run_fieldpost(tmp_path, "doctor")
    assert code == 1 and "line 3: hub.port is 0" in " ".join(out.split()), out + err
