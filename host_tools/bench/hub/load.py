"""The client of the measurement, in a process of its own: `python -m host_tools.bench.hub.load`.

Reads one JSON object from stdin (tokens are in it), connects, prints "connected", and for each further line
{"window": N, "seconds": S} publishes from all connections, with N unacknowledged publishes on each of them; it prints
{"messages": N, "seconds": S, "p50_ms": T}. Knows of MQTT what a load needs, and nothing of the servers.
"""

from __future__ import annotations

import asyncio
import json
import resource
import ssl
import struct
import sys
import time
from collections import deque
from typing import Any, Final

import uvloop

# Packet ids in use: more than any window.
_IDS: Final = 1024
_PUBACK_BYTES: Final = 4
_CONNACK_BYTES: Final = 4
_CONNECT_AT_ONCE: Final = 50


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def _packet(first_byte: int, body: bytes) -> bytes:
    length, encoded = len(body), bytearray()
    while length > 0x7F:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes((first_byte,)) + bytes(encoded) + body


class _Client(asyncio.Protocol):
    """One connection. Counts acknowledgements by their bytes, which all come in order."""

    def __init__(self, identity: dict[str, str], topic: str, payload: bytes) -> None:
        user = f"localhost/{identity['device_id']}/?api-version=2021-04-12"
        fields = _text(identity["device_id"]) + _text(user) + _text(identity["token"])
        self._connect = _packet(0x10, _text("MQTT") + b"\x04\xc2\x00\x00" + fields)
        name = _text(topic.replace("{}", identity["device_id"]))
        self._packets = [_packet(0x32, name + struct.pack(">H", n + 1) + payload) for n in range(_IDS)]
        self.is_connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: Any = None
        self._next = 0
        self._left_over = 0
        self._sent_at: deque[float] = deque()
        self._is_sending = False
        self.acknowledged = 0
        self.times_s: list[float] = []
        self.idle: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.write(self._connect)

    def data_received(self, data: bytes) -> None:
        if not self.is_connected.done():
            if len(data) < _CONNACK_BYTES or data[3]:
                self.is_connected.set_exception(ConnectionError(f"CONNECT refused: {data[:4].hex()}"))
            else:
                self.is_connected.set_result(None)
            return
        count, self._left_over = divmod(self._left_over + len(data), _PUBACK_BYTES)
        now = time.perf_counter()
        for _ in range(count):
            sent_at = self._sent_at.popleft()
        if count:
            self.times_s.append(now - sent_at)
            self.acknowledged += count
        if self._is_sending:
            self._send(count, now)
        elif self.idle is not None and not self._sent_at and not self.idle.done():
            self.idle.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_sending or not self.is_connected.done():
            print(json.dumps({"error": f"the server closed the connection: {exc}"}), flush=True)
            sys.exit(1)

    def start(self, window: int) -> None:
        """Publish from now on."""
        self._is_sending = True
        self.acknowledged = 0
        self.times_s.clear()
        self._send(window, time.perf_counter())

    def stop(self) -> asyncio.Future[None]:
        """Publish no more; done when everything is acknowledged."""
        self._is_sending = False
        self.idle = asyncio.get_running_loop().create_future()
        if not self._sent_at:
            self.idle.set_result(None)
        return self.idle

    def _send(self, count: int, now: float) -> None:
        start = self._next
        self._next = (start + count) % _IDS
        packets = self._packets[start : start + count]
        if len(packets) < count:
            packets = packets + self._packets[: count - len(packets)]
        self._sent_at.extend([now] * count)
        self._transport.write(b"".join(packets))


async def _main() -> None:
    loop = asyncio.get_running_loop()
    order = json.loads(await asyncio.to_thread(sys.stdin.readline))
    context = ssl.create_default_context(cafile=order["ca_file"])
    payload = b"x" * order["payload_bytes"]
    clients: list[_Client] = []
    for start in range(0, len(order["identities"]), _CONNECT_AT_ONCE):
        some = [_Client(one, order["topic"], payload) for one in order["identities"][start : start + _CONNECT_AT_ONCE]]
        await asyncio.gather(
            *(
                loop.create_connection(
                    lambda client=client: client,  # type: ignore[misc]
                    "127.0.0.1",
                    order["port"],
                    ssl=context,
                    server_hostname="localhost",
                    ssl_handshake_timeout=60,
                )
                for client in some
            )
        )
        await asyncio.gather(*(client.is_connected for client in some))
        clients += some
    print("connected", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        turn = json.loads(line)
        for client in clients:
            client.start(turn["window"])
        began = time.perf_counter()
        await asyncio.sleep(turn["seconds"])
        seconds = time.perf_counter() - began
        messages = sum(client.acknowledged for client in clients)
        times = sorted(duration for client in clients for duration in client.times_s)
        await asyncio.gather(*(client.stop() for client in clients))
        p50_ms = times[len(times) // 2] * 1000 if times else 0.0
        print(json.dumps({"messages": messages, "seconds": seconds, "p50_ms": p50_ms}), flush=True)


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(_main())
