"""One port of the hub: takes connections, does their TLS, and says why when that fails.

asyncio's own servers keep silent about a handshake that fails, which is the first thing that goes wrong for somebody
who is new here: a root certificate that the client was not given, a client that speaks without TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

log = logging.getLogger("fieldpost.hub")

_BACKLOG: Final = 512
# As much as is read at once, the kernel's own overhead aside: TLS's buffers grow to that and never shrink.
RECEIVE_BYTES: Final = 32 * 1024
# Accepted in one turn of the loop; then others are heard.
_AT_ONCE: Final = 64
# Where the machine has no file or memory left for one more: others may end meanwhile.
_PAUSE_S: Final = 1.0
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_SHUTDOWN_S: Final = 2.0
_TCP_ESTABLISHED: Final = 1  # linux/tcp_states.h

_NO_TRUST: Final = "it does not trust this hub: give it the hub's ca.pem as its root certificate"
# OpenSSL's reasons (openssl/sslerr.h), in words that say what to do.
_REASONS: Final = {
    "TLSV1_ALERT_UNKNOWN_CA": _NO_TRUST,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _NO_TRUST,
    "SSLV3_ALERT_BAD_CERTIFICATE": (
        "it refuses the hub's certificate: the name that it connects to must be in it (`fieldpost hub run --name`)"
    ),
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it finds the hub's certificate expired: is the clock of that machine right?",
    "HTTP_REQUEST": "it speaks HTTP without TLS",
    "WRONG_VERSION_NUMBER": "it speaks without TLS, which every port of the hub asks for",
    "UNSUPPORTED_PROTOCOL": "it speaks a version of TLS before 1.2",
    "NO_SHARED_CIPHER": "it offers no cipher that this hub knows, or no ECDSA certificates",
}
_GAVE_UP: Final = "it had given up before the hub came to it: this machine is very busy"
_WENT_AWAY: Final = "it went away, as many clients do that do not trust the hub's certificate (its root is ca.pem)"


class Listener:
    """port 0 takes a free one, told by `port` after `start`. make: the protocol of a connection whose TLS stands."""

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext,
        make: Callable[[], asyncio.Protocol],
        handshake_s: float,
    ) -> None:
        self.port = port
        self._host = host
        self._context = context
        self._make = make
        self._handshake_s = handshake_s
        self._sockets: list[socket.socket] = []
        self._greetings: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on every address of the host; OSError if that is not possible."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        try:
            for family, _, _, _, address in dict.fromkeys(found):
                self._listen(family, (address[0], self.port, *address[2:]))
        except OSError:
            self._close()
            raise
        for one in self._sockets:
            loop.add_reader(one.fileno(), self._accept, one)

    async def stop(self) -> None:
        """Listen no more, and end the handshakes that go on; the connections are others' business."""
        self._close()
        for task in self._greetings:
            task.cancel()
        await asyncio.gather(*self._greetings, return_exceptions=True)

    def _listen(self, family: int, address: tuple[Any, ...]) -> None:
        one = socket.socket(family, socket.SOCK_STREAM)
        self._sockets.append(one)
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Its connections have it from here (tcp(7)); a larger one cannot be announced later.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
        one.listen(_BACKLOG)
        self.port = one.getsockname()[1]

    def _close(self) -> None:
        for one in self._sockets:
            with contextlib.suppress(ValueError):  # it was never listened on
                asyncio.get_running_loop().remove_reader(one.fileno())
            one.close()
        self._sockets.clear()

    def _accept(self, one: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(_AT_ONCE):
            try:
                connection, peer = one.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                log.error("no more connections for now: %s (`ulimit -n` says how many files are allowed)", error)
                loop.remove_reader(one.fileno())
                loop.call_later(_PAUSE_S, self._accept_again, one)
                return
            task = loop.create_task(self._greet(connection, peer))
            self._greetings.add(task)
            task.add_done_callback(self._greetings.discard)

    def _accept_again(self, one: socket.socket) -> None:
        if one in self._sockets:
            asyncio.get_running_loop().add_reader(one.fileno(), self._accept, one)

    async def _greet(self, connection: socket.socket, peer: object) -> None:
        if not _is_there(connection):
            # A handshake with it is work for nothing, and the next in line would give up meanwhile.
            connection.close()
            log.warning("TLS with %s failed: %s", peer, _GAVE_UP)
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await _first_byte(connection, self._handshake_s)
            if not _is_there(connection):
                raise ConnectionResetError
            await asyncio.get_running_loop().connect_accepted_socket(
                self._make,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=self._handshake_s,
                ssl_shutdown_timeout=_SHUTDOWN_S,
            )
        except (OSError, asyncio.CancelledError) as error:
            connection.close()
            if isinstance(error, asyncio.CancelledError):
                raise
            log.warning("TLS with %s failed: %s", peer, _reason(error))


async def _first_byte(connection: socket.socket, timeout_s: float) -> None:
    """Wait until the other side says something: TLS takes 50 KB, which silence shall not get.

    ConnectionAbortedError if it does not in time.
    """
    loop = asyncio.get_running_loop()
    said = asyncio.Event()
    loop.add_reader(connection.fileno(), said.set)
    try:
        async with asyncio.timeout(timeout_s):
            await said.wait()
    except TimeoutError:
        raise ConnectionAbortedError from None
    finally:
        loop.remove_reader(connection.fileno())


def _is_there(connection: socket.socket) -> bool:
    """Whether the other side has not closed a connection that waited to be accepted (tcp(7), TCP_INFO)."""
    return bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_ESTABLISHED)


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionResetError | ssl.SSLEOFError):
        return _WENT_AWAY
    if isinstance(error, ssl.SSLError):
        return _REASONS.get(error.reason or "", str(error))
    if isinstance(error, ConnectionAbortedError):
        return "its handshake took too long"  # what asyncio makes of its timeout, too
    return str(error) or _WENT_AWAY
