"""The way to one server: name, TCP, TLS, and WebSocket if the dialect wants that. Never waits, and has one owner.

    closed --open--> resolving --> reaching (TCP) --> up: bytes go in and out; TLS shakes hands inside of them

The name is asked again when an address was of no use, and its next one is taken: the first may be of a network
(IPv6) that does not lead there, or of a hub that has moved. Where no name server answers, the address at which the
server was last will do.
"""

import errno
import gc
import select
import socket

from fieldpost.compat import const, is_micropython, sleep_ms
from fieldpost.links import tls
from fieldpost.modules import unload

# Some ports use lwIP's numbers for "in progress" and know no name for them.
_IN_PROGRESS = (errno.EINPROGRESS, errno.EAGAIN, errno.EALREADY, 119)
_RESOLVING_WAIT_MS = const(10)


class NoWay(Exception):
    """The server cannot be reached: its name is unknown, or no network leads there. The text says which."""


class Wire:
    """context: a TLS context (links.tls), or None for plain TCP. path: of the WebSocket, or None for none.

    Once `step` has said that it is up: write(data) -> bytes taken, or None for "not now, ask again with the same
    bytes"; read_into(buffer) -> bytes, None for "nothing yet", 0 for the end. They raise OSError, ValueError for a
    certificate that is not accepted (on CPython it is an OSError as well), or ProtocolError.
    """

    def __init__(self, host, port, context, path=None):
        self.context = context
        self._path = path
        self.point(host, port)

    def point(self, host, port):
        """Lead to another server from the next `open` on."""
        self._host = host
        self._port = port
        self._question = None  # what is its address?
        self._address = None
        self._proved_address = None
        self._failed_addresses = 0  # in a row
        self._is_resolving = False
        self._raw = None
        self._stream = None
        self._poll = None

    def open(self):
        """Begin to connect; `step` goes on with it. Raises NoWay."""
        self.close()
        gc.collect()  # TLS needs one free run of 16.7 KB
        self._is_resolving = self._address is None
        self._begin()

    def step(self):
        """Go on; return whether the wire is up. Raises NoWay, or OSError if the server does not take the connection."""
        if self._stream is None:
            if self._raw is None:
                self._begin()
            else:
                self._reach()
        return self._stream is not None

    def arrived(self):
        """The server has proved to be the right one: its address is kept."""
        self._failed_addresses = 0
        self._proved_address = self._address

    def led_nowhere(self):
        """No connection came about: another address may lead further."""
        self._address = None
        self._failed_addresses += 1

    def write(self, data):
        return self._stream.write(data)

    def read_into(self, buffer):
        return self._stream.read_into(buffer)

    def close(self):
        """Let go of the connection at once."""
        self._is_resolving = False
        for layer in (self._stream, self._raw):
            try:
                if layer is not None:
                    layer.close()
            except OSError:
                pass  # closing a dead TLS connection may fail; it is closed all the same
        self._stream = self._raw = self._poll = None

    def wait(self, timeout_ms, is_reading, is_writing):
        """Sleep until what is wanted can be done, or `timeout_ms` have passed.

        The raw socket is waited for, which costs nothing while idle; that is right only because whoever reads
        has drained the TLS layer before.
        """
        wanted = (select.POLLIN if is_reading else 0) | (select.POLLOUT if is_writing else 0)
        if self._stream is None:
            wanted = select.POLLOUT
        if self._poll is None or not wanted:
            sleep_ms(min(timeout_ms, _RESOLVING_WAIT_MS) if self._is_resolving else timeout_ms)
            return
        self._poll.modify(self._raw if self._stream is None else self._stream.pollable, wanted)
        self._poll.poll(timeout_ms)

    def _begin(self):
        try:
            if self._address is None:
                found = self._find()
                if found is None:
                    return
                self._address = found[self._failed_addresses % len(found)]
            self._is_resolving = False
            family, kind, protocol, _, address = self._address
            self._raw = socket.socket(family, kind, protocol)
            self._raw.setblocking(False)
            self._raw.connect(address)
        except OSError as error:
            if error.errno not in _IN_PROGRESS or self._raw is None:
                raise NoWay("no way to %s: %s" % (self._host, explain(error)[0]))
        self._poll = select.poll()
        self._poll.register(self._raw, select.POLLOUT)

    def _find(self):
        """Return getaddrinfo's list, or None for "not yet". Raises OSError."""
        if self._question is None:
            self._question = _ask(self._host, self._port)
        try:
            found = self._question.answer()
        except OSError:
            if self._proved_address is None:
                self._question = None
                raise
            found = (self._proved_address,)
        if found is not None:
            self._question = None
            unload("fieldpost.links.dns")
        return found

    def _reach(self):
        for event in self._poll.poll(0):
            if event[1] & (select.POLLERR | select.POLLHUP):
                self._raw.recv(1)  # raises what went wrong
                raise OSError(errno.ECONNREFUSED)
            if event[1] & select.POLLOUT:
                _no_delay(self._raw)
                self._poll.unregister(self._raw)
                self._stream = self._make_stream()
                self._poll.register(self._stream.pollable, select.POLLIN)

    def _make_stream(self):
        if self.context is None:
            from fieldpost.links import tcp

            stream = tcp.Stream(self._raw)
        else:
            stream = tls.Stream(self.context, self._raw, self._host)
        if self._path is not None:
            from fieldpost.links import websocket

            stream = websocket.Stream(stream, self._host, self._port, self._path)
        return stream


def _ask(host, port):
    if is_micropython:
        from fieldpost.links.dns import Question
    else:
        from fieldpost.links.resolver import Question
    return Question(host, port)


def _no_delay(raw):
    """Send small packets at once: held back by Nagle's algorithm, each costs the peer's delayed ACK, 40 ms.

    MicroPython's unix port has the option and no names for it; the numbers are those of Linux and of lwIP.
    """
    try:
        raw.setsockopt(getattr(socket, "IPPROTO_TCP", 6), getattr(socket, "TCP_NODELAY", 1), 1)
    except OSError:
        pass  # slower, not wrong


def explain(cause):
    """Return (reason, whether haste will not help), see links.reasons; a board has it only while it is asked."""
    try:
        from fieldpost.links import reasons

        explanation = reasons.of(cause)
    except MemoryError:
        return "not enough memory", False
    if is_micropython:
        unload("fieldpost.links.reasons")
    return explanation
