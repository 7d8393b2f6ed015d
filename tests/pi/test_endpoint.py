"""What the service tells about itself: `fieldpost top` and Prometheus, without a client ever holding it up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from fieldpost.daemon.endpoint import Endpoint, unix_listener
from typer.testing import CliRunner

from host_tools.cli import app
from host_tools.errors import UserError
from host_tools.service import front, top
from tests.pi.machine import ROOT
from tests.pi.until import until
from tests.ports import free_port

# https://prometheus.io/docs/instrumenting/exposition_formats/
_SAMPLE = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)*\})? -?[0-9.]+(e[+-]?\d+)?')


async def test_top_and_prometheus_show_the_running_service(pi, capsys):
    path, port = pi.run / "agent.sock", free_port()
    pi.settings["service"] = {"socket": str(path), "metrics": "port", "metrics_port": port}
    pi.start()
    await until(lambda: len(pi.records()) >= 10, pi.said)
    async with asyncio.timeout(120):  # what the hub has, the service learns a little later
        while (found := await asyncio.to_thread(top.fetch, path))["confirmed"] == 0:
            await asyncio.sleep(0.05)
    assert found["state"] == "ready" and found["lost"] == 0
    assert found["sensors"][0]["values"]["temperature"] == pytest.approx(21.5, abs=0.02)
    assert path.stat().st_mode & 0o777 == 0o660
    assert await asyncio.to_thread(front.main, ["top", "--socket", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "hub       ready" in shown and "temperature 21.5 C" in shown and "room for " in shown
    run = await asyncio.to_thread(CliRunner().invoke, app, ["top", "--json", "--socket", str(path)])
    assert json.loads(run.output)["device"] == "pi-1"

    def scrape():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"
            return answer.read().decode()

    text = await asyncio.to_thread(scrape)
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(_SAMPLE.fullmatch(line) for line in samples), text
    assert "fieldpost_connected 1" in samples
    assert any(
        re.fullmatch(r'fieldpost_reading\{sensor="bme280",quantity="pressure",unit="hPa"\} 101\d\.\d+', x)
        for x in samples
    )
    named = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert {re.match(r"\w+", line)[0] for line in samples} == named
    # Each series once, its TYPE before it, HELP before TYPE; counters end in _total.
    assert len({line.rpartition(" ")[0] for line in samples}) == len(samples)
    for name in named:
        order = [line.split(" ")[:3] for line in text.splitlines() if re.search(rf"\b{name}\b", line.split("{")[0])]
        assert [words[1] for words in order[:2]] == ["HELP", "TYPE"] and all(w[0] != "#" for w in order[2:])
        assert (f"# TYPE {name} counter" in text) == name.endswith("_total")
    await asyncio.to_thread(pi.stop)
    with pytest.raises(UserError, match="no service answers"):
        top.fetch(path)


async def test_on_a_terminal_top_goes_on_until_ctrl_c(pi):
    path = pi.run / "agent.sock"
    pi.settings["service"] = {"socket": str(path)}
    pi.start()
    await until(lambda: is_answered(path), pi.said)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from host_tools.cli import main; main()", "top", "--socket", str(path)]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, cwd=ROOT)
    os.close(theirs)
    os.set_blocking(ours, False)
    shown = b""

    def frames():
        nonlocal shown
        with contextlib.suppress(BlockingIOError):
            shown += os.read(ours, 65_536)
        return shown.count(b"\x1b[H")

    await until(lambda: frames() >= 3, pi.said)
    # A service that restarts, as for an upgrade, is waited for.
    await asyncio.to_thread(pi.stop)
    await until(lambda: frames() and b"no service answers" in shown, pi.said)
    pi.start()
    await until(lambda: frames() and b"boot 2" in shown, pi.said)
    process.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(process.wait, 60) == 0
    os.close(ours)
    assert b"confirmed, " in shown and b"/s; " in shown


async def test_metrics_are_off_unless_asked_for(pi):
    path = pi.run / "agent.sock"
    pi.environment["RUNTIME_DIRECTORY"] = str(pi.run)
    pi.start()
    await until(lambda: is_answered(path), pi.said)
    answer = await asyncio.to_thread(_get, path, b"GET /metrics HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 404 ") and b"there is /status" in answer


async def test_a_port_that_is_taken_costs_the_metrics_not_the_readings(pi):
    with socket.create_server(("127.0.0.1", 0)) as other:
        pi.settings["service"] = {"metrics": "port", "metrics_port": other.getsockname()[1]}
        pi.start()
        await until(lambda: len(pi.records()) >= 5, pi.said)
        assert "cannot be listened on" in pi.said()


def is_answered(path):
    """A socket is there a moment before its owner listens on it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        return connection.connect_ex(str(path)) == 0


def _get(path, request):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(60)
        connection.connect(str(path))
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.fixture
def endpoint(run):
    routes = {"/status": lambda: ("text/plain", "x" * 1_000_000)}
    made = Endpoint(unix_listener(str(run / "socket")), routes)
    made.path = str(run / "socket")
    yield made
    made.close()


def test_clients_that_dawdle_are_let_go_and_hold_nobody_up(endpoint):
    clients = []
    for _ in range(30):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.setblocking(False)
        try:
            client.connect(endpoint.path)
        except BlockingIOError:
            break  # the backlog is full: the kernel lets nobody else in
        clients.append(client)
    begin = time.monotonic()
    endpoint.poll(0.0)
    for now_s in (3.0, 3.1, 6.2, 6.3, 9.4, 9.5, 12.6, 12.7):
        endpoint.poll(now_s)
    assert time.monotonic() - begin < 30, "no poll waits: clients that say nothing would be waited for without end"
    assert all(client.recv(10) == b"" for client in clients)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST /status HTTP/1.0\r\n\r\n", b"405"),
        (b"\r\n\r\n", b"405"),
        (b"\xff\xfe \xff HTTP\r\n\r\n", b"405"),
        (b"GET /../etc/passwd HTTP/1.0\r\n\r\n", b"404"),
        (b"GET \xff HTTP/1.0\r\n\r\n", b"404"),
        (b"x" * 5000, b"405"),
        (b"HEAD /status HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
    ],
)
def test_whatever_is_asked_is_answered(endpoint, request_bytes, status):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(endpoint.path)
        client.sendall(request_bytes)
        endpoint.poll(0.0)
        endpoint.poll(0.1)
        client.settimeout(60)
        assert client.recv(100).split()[1] == status


def test_a_long_answer_leaves_in_pieces(endpoint):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(endpoint.path)
        client.sendall(b"GET /status HTTP/1.0\r\n\r\n")
        client.settimeout(0.01)
        answer = b""
        for turn in range(2000):
            endpoint.poll(turn / 2000)
            try:
                chunk = client.recv(65_536)
            except TimeoutError:
                continue
            if not chunk:
                break
            answer += chunk
        assert len(answer.partition(b"\r\n\r\n")[2]) == 1_000_000
