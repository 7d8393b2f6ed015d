"""A connection whose TLS fails: one line in the log that says what to do, and nobody else notices."""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl

import pytest

from host_tools.hub.listener import Listener
from tests.hub.hub_bench import running
from tests.hub.raw_device import RawDevice, connect, publish

EVENTS = "devices/good/messages/events/"


async def until(condition):
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.01)


async def dial(hub, context, name="localhost"):
    """As most clients do: asyncio's own goes without telling the server why."""

    def blocking():
        with socket.create_connection(("127.0.0.1", hub.port)) as plain, pytest.raises(ssl.SSLError):
            context.wrap_socket(plain, server_hostname=name)

    await asyncio.to_thread(blocking)


async def leave(hub):
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection(
            "127.0.0.1", hub.port, ssl=ssl.create_default_context(), server_hostname="localhost"
        )


async def say(hub, data):
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
    writer.write(data)
    async with asyncio.timeout(120):
        with contextlib.suppress(ConnectionError):
            assert not (await reader.read()).startswith(b"\x20")
    writer.close()


def allow(hub, seconds):
    """Let a handshake take so long from now on: one that a test needs is done by then."""
    for listener in hub._listeners:
        listener._handshake_s = seconds


FAILURES = {
    "root": (lambda hub: dial(hub, ssl.create_default_context()), "give it the hub's ca.pem"),
    "name": (
        lambda hub: dial(hub, ssl.create_default_context(cadata=hub.ca_pem), "elsewhere.example"),
        "the name that it connects to",
    ),
    "leaves": (leave, "as many clients do"),
    "mqtt": (lambda hub: say(hub, connect("good", "x")), "without TLS"),
    "http": (lambda hub: say(hub, b"GET / HTTP/1.1\r\n\r\n"), "HTTP without TLS"),
    "slow": (lambda hub: say(hub, b"\x16\x03\x01"), "took too long"),
}


@pytest.mark.parametrize("what", FAILURES)
def test_a_handshake_that_fails_is_told_with_what_to_do(run, tmp_path, caplog, what):
    fails, sentence = FAILURES[what]

    async def scenario():
        async with running(tmp_path) as hub:
            good = await RawDevice.connected(hub, "good")
            if what == "slow":
                allow(hub, 0.5)
            with caplog.at_level(logging.WARNING, "fieldpost.hub"):
                await fails(hub)
                await until(lambda: sentence in caplog.text)
            assert "127.0.0.1" in caplog.text
            good.send(publish(EVENTS, b"x", 1))
            assert await good.receive() == (0x40, b"\x00\x01")

    run(scenario())


def test_silence_gets_no_memory_for_tls_and_no_more_time_than_a_handshake(run, tmp_path, caplog, monkeypatch):
    made = []
    wrap = ssl.SSLContext.wrap_bio

    async def scenario():
        async with running(tmp_path) as hub:
            good = await RawDevice.connected(hub, "good")
            allow(hub, 1.0)
            monkeypatch.setattr(ssl.SSLContext, "wrap_bio", lambda *args, **keys: made.append(1) or wrap(*args, **keys))
            silent = [await asyncio.open_connection("127.0.0.1", hub.port) for _ in range(50)]
            async with asyncio.timeout(120):
                for reader, _ in silent:
                    assert await reader.read() == b""
            assert not made and caplog.text.count("took too long") == 50
            good.send(publish(EVENTS, b"x", 1))
            assert await good.receive() == (0x40, b"\x00\x01")
            for _, writer in silent:
                writer.close()

    run(scenario())


class Exhausted:
    """A listening socket on a machine that has no file left, once."""

    def __init__(self):
        self._real = socket.create_server(("127.0.0.1", 0))
        self._real.setblocking(False)
        self.tries = 0

    def accept(self):
        self.tries += 1
        if self.tries == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        raise BlockingIOError

    def __getattr__(self, name):
        return getattr(self._real, name)


def test_who_gave_up_while_the_hub_was_busy_costs_no_handshake(run, tmp_path, caplog, monkeypatch):
    made = []

    async def scenario():
        async with running(tmp_path) as hub:
            monkeypatch.setattr(ssl.SSLContext, "wrap_bio", lambda *arguments, **keys: made.append(arguments))
            # The loop is busy with this: it accepts the connection only after it has ended.
            with socket.create_connection(("127.0.0.1", hub.port)) as plain:
                plain.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            await until(lambda: "had given up" in caplog.text)
            assert not made
            monkeypatch.undo()
            good = await RawDevice.connected(hub, "good")
            good.send(publish(EVENTS, b"x", 1))
            assert await good.receive() == (0x40, b"\x00\x01")

    run(scenario())


def test_where_no_file_is_left_it_waits_and_goes_on(run, caplog, monkeypatch):
    monkeypatch.setattr("host_tools.hub.listener._PAUSE_S", 0.05)

    async def scenario():
        listener = Listener("127.0.0.1", 0, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), asyncio.Protocol, 1)
        await listener.start()
        exhausted = Exhausted()
        listener._sockets.append(exhausted)
        listener._accept(exhausted)
        assert "Too many open files" in caplog.text
        client = socket.create_connection(exhausted.getsockname())
        await until(lambda: exhausted.tries > 1)
        client.close()
        await listener.stop()

    run(scenario())


def test_a_hub_that_stops_ends_handshakes_that_go_on(run, tmp_path):
    async def scenario():
        async with running(tmp_path) as hub:
            reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
            writer.write(b"\x16\x03\x01")
            await until(lambda: any(listener._greetings for listener in hub._listeners))
        async with asyncio.timeout(120):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()

    run(scenario())
