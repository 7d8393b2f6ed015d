"""The network between a board and its hub: a relay that can turn into a black hole.

In an outage nothing is refused and nothing is closed: bytes of either side simply do not arrive, as when a
router loses its uplink. TCP keeps what was sent and delivers it afterwards, which is what really happens as
long as neither end gives up. A board that loses power sends no goodbye: the hub keeps a dead connection until
it gives up on it by itself.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

from host_tools.emulator.names import NameServer
from host_tools.emulator.time_server import TimeServer

_TCP_ESTABLISHED = 1  # linux/tcp_states.h


class Link:
    """One board's way to `upstream` (host, port), whatever name and port its program asks for.

    before_passing_on: called before bytes of the board go on, see `ChipProcess.catch_up`.
    """

    def __init__(self, upstream: tuple[str, int], before_passing_on: Callable[[], object]) -> None:
        self.upstream = upstream
        self.before_passing_on = before_passing_on
        self.is_up = True
        self.time_off_s: float | None = 0.0  # by how much the time server is wrong; None: it does not answer
        self.names = NameServer()
        self.clock = TimeServer(lambda: self.time_off_s if self.is_up else None)
        self.port = 0
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_change: list[Callable[[bool], object]] = []

    async def start(self) -> None:
        """Begin to listen on a free port of 127.0.0.1, told by `port`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        await self.names.start()
        await self.clock.start()

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        self.names.stop()
        self.clock.stop()
        for task in self._tasks:
            task.cancel()
        for pair in list(self._pairs):
            pair.abort()
        await asyncio.sleep(0)

    def on_change(self, callback: Callable[[bool], object]) -> None:
        """Call `callback(is_up)` when an outage begins or ends."""
        self._on_change.append(callback)

    def down(self) -> None:
        """Begin an outage."""
        self._turn(False)

    def up(self) -> None:
        """End the outage: what was held back goes on, new connections are made."""
        self._turn(True)

    async def outage(self, seconds: float) -> None:
        """Be down for `seconds`, then up again."""
        self.down()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.up()

    def board_lost_power(self) -> None:
        """Leave the hub with connections that nobody answers any more."""
        for pair in list(self._pairs):
            pair.orphan()

    def _turn(self, is_up: bool) -> None:
        if is_up == self.is_up:
            return
        self.is_up = is_up
        for pair in list(self._pairs):
            pair.flow()
            if is_up:
                self._connect(pair)
        for callback in self._on_change:
            callback(is_up)

    def _accept(self) -> asyncio.Protocol:
        pair = _Pair(self)
        self._pairs.add(pair)
        return pair.board

    def _connect(self, pair: "_Pair") -> None:
        """Connect an accepted board to the hub, unless that has been done or must wait."""
        if pair.is_connecting or not self.is_up:
            return
        if not pair.is_board_waiting():
            pair.abort()  # gave up during the outage: none of it ever reached the hub
            return
        pair.is_connecting = True
        task = asyncio.get_running_loop().create_task(self._reach(pair))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reach(self, pair: "_Pair") -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: pair.hub, *self.upstream)
        except OSError:
            pair.refuse()
        else:
            self.connections += 1
            pair.flow()

    def _forget(self, pair: "_Pair") -> None:
        self._pairs.discard(pair)


class _Pair:
    """A board's connection and the hub's that belongs to it."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.is_connecting = False
        self.is_orphan = False
        self.board = _End(self)
        self.hub = _End(self)
        self.board.peer = self.hub
        self.hub.peer = self.board

    def is_board_waiting(self) -> bool:
        """Whether the board still holds its connection open, though nothing has been read from it."""
        if self.board.transport is None:
            return False
        connection = self.board.transport.get_extra_info("socket")
        state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        return bool(state == _TCP_ESTABLISHED)

    def opened(self, end: "_End") -> None:
        if end is self.board:
            self.link._connect(self)
        elif self.board.transport is None:
            self._left_alone()
        self.flow()

    def _left_alone(self) -> None:
        """The board went while the hub was being reached: what it said before still arrives, then the end."""
        if self.is_orphan or self.hub.transport is None:
            self.abort()
        else:
            self.board.read(True)
            self.hub.transport.close()

    def flow(self) -> None:
        """Let each end be read if what it says can be passed on."""
        are_joined = self.board.transport is not None and self.hub.transport is not None
        for end in (self.board, self.hub):
            end.read(self.is_orphan or (self.link.is_up and are_joined and not end.peer.is_full))

    def lost(self, end: "_End") -> None:
        if self.is_orphan and end is self.board:
            return
        self.link._forget(self)
        # What was already read goes out first: close() flushes.
        if end.peer.transport is not None:
            end.peer.transport.close()

    def orphan(self) -> None:
        """Cut the board off without a word to the hub, which talks into the void from now on."""
        self.is_orphan = True
        if self.board.transport is not None:
            self.board.transport.abort()
        if self.hub.transport is None:
            self.link._forget(self)
        self.flow()

    def refuse(self) -> None:
        """Reset the board's connection, as near as a relay comes to one that was refused."""
        if self.board.transport is not None:
            connection = self.board.transport.get_extra_info("socket")
            # Closing with no time to linger sends a reset (socket(7)).
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    def abort(self) -> None:
        self.link._forget(self)
        for end in (self.board, self.hub):
            if end.transport is not None:
                end.transport.abort()


class _End(asyncio.Protocol):
    """One end of a pair; passes what it reads to `peer`."""

    peer: "_End"

    def __init__(self, pair: _Pair) -> None:
        self.transport: asyncio.Transport | None = None
        self.is_full = False
        self._pair = pair
        self._is_paused = False
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of asyncio's
        # uvloop begins to read when this returns, whatever is asked for here.
        asyncio.get_running_loop().call_soon(self._pair.opened, self)

    def read(self, wanted: bool) -> None:
        """Read and pass on, or leave what arrives with the operating system."""
        if wanted and self._early and self.peer.transport is not None:
            self.peer.transport.write(self._early)
            self._early = b""
        if self.transport is None or self.transport.is_closing() or wanted != self._is_paused:
            return
        self._is_paused = not wanted
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        if self is self._pair.board:
            self._pair.link.before_passing_on()
        if self._pair.is_orphan:
            return
        if self._early or self._is_paused or self.peer.transport is None or not self._pair.link.is_up:
            self._early += data  # came before reading could be stopped
        else:
            self.peer.transport.write(data)

    def eof_received(self) -> bool:
        return False  # closing one direction ends both: neither MQTT nor TLS lives on half a connection

    def pause_writing(self) -> None:
        self.is_full = True
        self._pair.flow()

    def resume_writing(self) -> None:
        self.is_full = False
        self._pair.flow()

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self._pair.lost(self)
