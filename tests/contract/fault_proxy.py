"""A relay below TLS that does to bytes what networks do: cut, swallow, drip, delay."""

import asyncio
import socket

_APPLICATION_DATA = 23  # RFC 5246 section 6.2.1


class Cut:
    """The connection ends after so many bytes towards the server; resets: as a router that has forgotten it does."""

    def __init__(self, after, resets=False):
        self.after = after
        self.resets = resets


class BlackHole:
    """After so many bytes towards the server nothing passes any more, and nobody is told."""

    def __init__(self, after):
        self.after = after


class Drip:
    """Every byte comes by itself."""


class Delay:
    """Every byte comes so late."""

    def __init__(self, seconds):
        self.seconds = seconds


class Tap:
    """Nothing happens, and the sizes of the TLS records that carry something towards the server are kept."""

    def __init__(self):
        self.records = []
        self._unread = b""

    def look(self, data):
        self._unread += data
        while len(self._unread) >= 5 and len(self._unread) >= 5 + int.from_bytes(self._unread[3:5], "big"):
            size = int.from_bytes(self._unread[3:5], "big")
            if self._unread[0] == _APPLICATION_DATA:
                self.records.append(size)
            self._unread = self._unread[5 + size :]


class FaultProxy:
    """faults: one for each connection in order, None for none; connections behind the last have none."""

    def __init__(self, upstream_port, faults):
        self.port = 0
        self.connections = 0
        self._upstream_port = upstream_port
        self._faults = list(faults)
        self._server = None
        self._tasks = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        fault = self._faults[self.connections] if self.connections < len(self._faults) else None
        self.connections += 1
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        for end in (writer, up_writer):
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hole = asyncio.Event()
        ways = [
            asyncio.ensure_future(self._relay(reader, up_writer, fault, True, hole)),
            asyncio.ensure_future(self._relay(up_reader, writer, fault, False, hole)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if isinstance(fault, Cut) and fault.resets:
                for end in (writer, up_writer):
                    end.transport.abort()
            for end in (writer, up_writer):
                end.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _relay(self, source, target, fault, is_upward, hole):
        passed = 0
        late = asyncio.Queue()
        if isinstance(fault, Delay):
            sender = asyncio.ensure_future(self._late(late, target))
            self._tasks.add(sender)
        loop = asyncio.get_running_loop()
        while data := await source.read(4096):
            if hole.is_set():
                continue
            if is_upward and isinstance(fault, Cut | BlackHole) and passed + len(data) >= fault.after:
                data = data[: fault.after - passed]
                if isinstance(fault, BlackHole):
                    hole.set()
                target.write(data)
                await target.drain()
                if isinstance(fault, Cut):
                    return
                continue
            passed += len(data)
            if is_upward and isinstance(fault, Tap):
                fault.look(data)
            if isinstance(fault, Drip):
                for byte in data:
                    target.write(bytes((byte,)))
                    await asyncio.sleep(0)
            elif isinstance(fault, Delay):
                late.put_nowait((loop.time() + fault.seconds, data))
            else:
                target.write(data)
            await target.drain()

    async def _late(self, late, target):
        loop = asyncio.get_running_loop()
        while True:
            due, data = await late.get()
            await asyncio.sleep(max(0, due - loop.time()))
            target.write(data)
