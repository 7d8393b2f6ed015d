"""What only the links on CPython have: a resolver that waits elsewhere, and paho's way with large packets."""

import asyncio
import base64
import threading

from fieldpost.limits import CONNECT_TIMEOUT_MS, MESSAGE_BYTES_MAX
from fieldpost.links import resolver, tls
from fieldpost.links.paho import PahoLink
from fieldpost.links.umqtt import UmqttLink

from tests.contract.scripted_peer import Peer


class Dialect:
    client_id = "dev"
    username = None
    will = None
    clean_session = False


class Handler:
    def __init__(self):
        self.told = []

    def link_connected(self):
        self.told.append("connected")

    def link_closed(self, reason, is_refusal=False):
        self.told.append(reason)

    def link_has_room(self):
        return True


def opened(kind, port, ca):
    handler = Handler()
    context = tls.client_context((base64.b64decode(ca),))
    link = kind(Dialect(), "localhost", port, 30, context)
    link.open(0, None, handler)
    return link, handler


async def until_told(link, handler, now_ms=0):
    while not handler.told:
        link.step(now_ms, handler)
        await asyncio.to_thread(link.wait, 20)


async def test_a_name_server_that_is_slow_holds_nothing_up(authority, monkeypatch):
    answered, asked = threading.Event(), []
    real = resolver.socket.getaddrinfo

    def slow(*what):
        asked.append(what)
        assert answered.wait(60)
        return real(*what)

    for kind in (UmqttLink, PahoLink):
        answered.clear()
        asked.clear()
        async with Peer(authority.context()) as peer:
            monkeypatch.setattr(resolver.socket, "getaddrinfo", slow)
            link, handler = opened(kind, peer.port, authority.ca)
            for now_ms in (0, 1000, CONNECT_TIMEOUT_MS):
                link.step(now_ms, handler)  # returns, though nothing is known
            assert handler.told == []
            link.step(CONNECT_TIMEOUT_MS + 1, handler)
            assert handler.told == ["no answer within 20 s"]
            handler.told.clear()
            link.open(CONNECT_TIMEOUT_MS + 2, None, handler)
            assert len(asked) == 1, "a second question would only be one more thread"
            answered.set()
            await until_told(link, handler, CONNECT_TIMEOUT_MS + 3)
            assert handler.told == ["connected"]
            link.close()
            monkeypatch.undo()


async def test_a_name_that_nobody_knows_is_told(authority, monkeypatch):
    def unknown(*what):
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(resolver.socket, "getaddrinfo", unknown)
    for kind in (UmqttLink, PahoLink):
        link, handler = opened(kind, 1, authority.ca)
        await until_told(link, handler)
        assert handler.told == ["no way to localhost: [Errno -2] Name or service not known"]


async def test_paho_is_not_let_take_memory_for_a_packet_that_is_far_too_long(authority):
    size = MESSAGE_BYTES_MAX + 1

    class Boasting(Peer):
        def on_connect(self, connection):
            super().on_connect(connection)
            connection.send(b"\x30" + bytes((size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14)) + b"\x00\x01a")

    async with Boasting(authority.context()) as peer:
        link, handler = opened(PahoLink, peer.port, authority.ca)
        await until_told(link, handler)
        handler.told.remove("connected")
        await until_told(link, handler)
        assert handler.told == [f"a packet of {size} bytes is too long for this device"]
