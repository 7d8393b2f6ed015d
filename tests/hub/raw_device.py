"""A device made of raw MQTT packets and Python's own TLS: shares no code with the hub or the firmware."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ssl
import struct
import time
from urllib.parse import quote


def token(key: str, resource: str, expiry: int | None = None) -> str:
    """Return a shared access signature, written from Microsoft's page."""
    expiry = expiry or int(time.time()) + 3600
    scope = quote(resource, safe="")
    digest = hmac.new(base64.b64decode(key), f"{scope}\n{expiry}".encode(), hashlib.sha256).digest()
    return f"SharedAccessSignature sr={scope}&sig={quote(base64.b64encode(digest), safe='')}&se={expiry}"


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(data)) + data


def packet(first_byte: int, body: bytes) -> bytes:
    length, encoded = len(body), b""
    while length > 0x7F:
        encoded += bytes((length & 0x7F | 0x80,))
        length >>= 7
    return bytes((first_byte,)) + encoded + bytes((length,)) + body


def connect(
    device_id: str, password: str | None, user_name: str | None = None, keep_alive: int = 60, will=None
) -> bytes:
    user_name = f"localhost/{device_id}/?api-version=2021-04-12" if user_name is None else user_name
    flags = 0x82 | (0x40 if password is not None else 0) | (0x0C if will else 0)
    body = text("MQTT") + bytes((4, flags)) + struct.pack(">H", keep_alive) + text(device_id)
    if will:
        body += text(will[0]) + text(will[1])
    body += text(user_name)
    if password is not None:
        body += text(password)
    return packet(0x10, body)


def publish(topic: str, payload: bytes, packet_id: int, dup: bool = False) -> bytes:
    return packet(0x32 | dup << 3, text(topic) + struct.pack(">H", packet_id) + payload)


def puback(packet_id: int) -> bytes:
    return packet(0x40, struct.pack(">H", packet_id))


def subscribe(topic: str, packet_id: int = 1) -> bytes:
    return packet(0x82, struct.pack(">H", packet_id) + text(topic) + b"\x01")


class RawDevice:
    """One TLS connection; `receive` returns (first byte, body), or None at the end of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def dial(cls, hub, version: ssl.TLSVersion | None = None) -> RawDevice:
        context = ssl.create_default_context(cadata=hub.ca_pem)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return cls(*await asyncio.open_connection("127.0.0.1", hub.port, ssl=context, server_hostname="localhost"))

    @classmethod
    async def connected(cls, hub, device_id: str, **keys) -> RawDevice:
        device = await cls.dial(hub)
        key = hub.devices.create(device_id).primary_key
        device.send(connect(device_id, token(key, f"localhost/devices/{device_id}"), **keys))
        assert await device.receive() == (0x20, b"\x00\x00")
        return device

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self, timeout: float = 120) -> tuple[int, bytes] | None:
        try:
            first = await asyncio.wait_for(self.reader.readexactly(1), timeout)
            length = shift = 0
            while True:
                byte = (await self.reader.readexactly(1))[0]
                length |= (byte & 0x7F) << shift
                shift += 7
                if not byte & 0x80:
                    break
            return first[0], await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def is_closed(self) -> bool:
        return await self.receive() is None

    def close(self) -> None:
        self.writer.transport.abort()


def take_publish(received: tuple[int, bytes]) -> tuple[str, bytes, int, bool]:
    """Return (topic, payload, packet id, duplicate) of a received QoS 1 PUBLISH."""
    first, body = received
    assert first & 0xF6 == 0x32, hex(first)
    end = 2 + int.from_bytes(body[:2], "big")
    return body[2:end].decode(), body[end + 2 :], int.from_bytes(body[end : end + 2], "big"), bool(first & 8)
