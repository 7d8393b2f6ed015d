"""One AMQP connection: header, SASL, open, sessions, idle time and close (OASIS AMQP 1.0 parts 2 and 5).

    header SASL -> mechanisms, init, outcome -> header AMQP -> open -> sessions -> close

Anonymous is welcome: who may do what is settled by claims, put to $cbs, before anything else is (CBS, as Azure has it).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING, Any, Final, cast

from host_tools.hub import budget, sas
from host_tools.hub.amqp import framing, performatives, types
from host_tools.hub.amqp.framing import Frame, Header
from host_tools.hub.amqp.nodes import Nodes
from host_tools.hub.amqp.performatives import (
    Begin,
    Close,
    End,
    Open,
    Performative,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
)
from host_tools.hub.amqp.session import Session
from host_tools.hub.amqp.types import UByte, UInt, UShort

if TYPE_CHECKING:
    from host_tools.hub.hub import Hub

log = logging.getLogger("fieldpost.hub")

_FRAME_BYTES_MAX: Final = 64 * 1024
_FRAME_BYTES_MIN: Final = 512
_CHANNEL_MAX: Final = 15
# From the first byte to the first good token.
_TOKEN_TIMEOUT_S: Final = 30.0
# A peer that says nothing for so long is gone; half of it is what we tell it (2.4.5).
_IDLE_S: Final = 240.0
_CHECK_S: Final = 10.0
# Room for the performative in front of a payload.
_TRANSFER_BYTES: Final = 128
# MSSBCBS is what Microsoft's C library insists on, and means: anonymous, claims follow.
_MECHANISMS: Final = ("MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL")
_OK: Final = UByte(0)
_NO: Final = UByte(1)


class AmqpConnection(asyncio.Protocol):
    """The server side of one connection."""

    def __init__(self, hub: Hub) -> None:
        self.nodes = Nodes(hub, self)
        self.payload_bytes_max = _FRAME_BYTES_MIN - _TRANSFER_BYTES
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._decoder = framing.Decoder()
        self._transport: asyncio.Transport | None = None
        self._peer = "?"
        self._is_writable = True
        self._is_open = False
        self._asks_sasl = False
        self._sessions: dict[int, Session] = {}
        self._ended: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._last_heard = self._last_sent = self._since = self._loop.time()
        self._says_alive_s = _IDLE_S
        self._good_until_s: float | None = None

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._peer = str(transport.get_extra_info("peername"))
        self._hub.connections.add(self)
        self._timer = self._loop.call_later(_CHECK_S, self._check)

    def data_received(self, data: bytes) -> None:
        self._last_heard = self._loop.time()
        self._decoder.feed(data)
        try:
            for item in self._decoder.frames():
                if isinstance(item, Header):
                    self._header(item)
                else:
                    self._frame(item)
                if self._transport is None:
                    return
        except types.Malformed as error:
            self._fail("amqp:connection:framing-error", str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        self.close(f"connection lost{f': {exc}' if exc else ''}")

    def pause_writing(self) -> None:
        self._is_writable = False
        self._hub.budget.look_soon()
        if self._transport is not None:
            self._transport.pause_reading()  # or its requests would pile up as answers

    def resume_writing(self) -> None:
        self._is_writable = True
        if self._transport is not None:
            self._transport.resume_reading()
        for session in list(self._sessions.values()):
            session.ready()

    # --- for the hub ---

    def close(self, reason: str, level: int = logging.INFO) -> None:
        """End the connection, once."""
        if self._transport is None:
            return
        transport, self._transport = self._transport, None
        log.log(level, "AMQP connection from %s closed: %s", self._peer, reason)
        if self._timer is not None:
            self._timer.cancel()
        self._hub.detach(self)
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()
        self.nodes.close()
        transport.close()

    @property
    def transport(self) -> Any:
        """For the budget of all connections."""
        return self._transport

    def held_bytes(self) -> int:
        """For the budget of all connections: messages that are not whole, and frames that are not read."""
        links = (link.held_bytes for session in self._sessions.values() for link in session.links.values())
        return self._decoder.held_bytes + sum(links) + budget.in_transport(self._transport)

    # --- for sessions and nodes ---

    @property
    def is_writable(self) -> bool:
        """Whether the peer reads as fast as we write."""
        return self._is_writable and self._transport is not None

    @property
    def is_authorised(self) -> bool:
        """Whether a good token has been put and has not expired."""
        return self._good_until_s is not None and self._good_until_s > self._hub.clock()

    def authorise(self, token: str) -> None:
        """Take a token of a policy that may connect as a service; raises SasRefused."""
        self._good_until_s = self._hub.policies.check(token, "ServiceConnect")

    def send(self, channel: int, performative: Performative, payload: bytes = b"") -> None:
        """Send a frame."""
        if self._transport is not None:
            self._last_sent = self._loop.time()
            self._transport.write(framing.frame(channel, performative, payload))

    # --- inside ---

    def _header(self, header: Header) -> None:
        assert self._transport is not None
        if self._asks_sasl and header.protocol == 0:
            self._fail("amqp:connection:framing-error", "SASL has not been finished")
            return
        self._transport.write(framing.HEADERS[header.protocol])
        if header.protocol:
            self._asks_sasl = True
            mechanisms = SaslMechanisms(performatives.symbols(*_MECHANISMS))
            self._transport.write(framing.frame(0, mechanisms, kind=framing.SASL))

    def _frame(self, frame: Frame) -> None:
        performative = frame.performative
        if (frame.kind == framing.SASL) != self._asks_sasl:
            raise types.Malformed("SASL frame where none is expected, or the other way round")
        if self._asks_sasl:
            if not isinstance(performative, SaslInit):
                raise types.Malformed("SASL begins with init")
            self._sasl(performative)
        elif performative is None:
            pass  # it lives
        elif not self._is_open:
            if not isinstance(performative, Open):
                raise types.Malformed("the first performative is not open")
            self._open(performative)
        elif isinstance(performative, Close):
            self.send(0, Close())
            self.close("as the peer asked")
        elif isinstance(performative, Begin):
            self._begin(frame.channel, performative)
        elif isinstance(performative, End):
            session = self._sessions.pop(frame.channel, None)
            if session is not None:
                self._ended.add(frame.channel)
                session.close()
                self.send(frame.channel, End())
        elif frame.channel in self._sessions:
            self._sessions[frame.channel].take(performative, frame.payload)
        elif frame.channel not in self._ended:  # where Microsoft's Python client goes on to take its links down
            raise types.Malformed(f"{type(performative).__name__} outside of a session")

    def _sasl(self, init: SaslInit) -> None:
        assert self._transport is not None
        refusal = None
        if init.mechanism == "PLAIN":
            # Microsoft: the user is policy@sas.root.hub, the password a token. RFC 4616: NUL is between them.
            try:
                self.authorise((init.initial_response or b"").rpartition(b"\0")[2].decode())
            except (sas.SasRefused, UnicodeDecodeError) as error:
                refusal = str(error)
        elif init.mechanism not in _MECHANISMS:
            refusal = f"mechanism {init.mechanism[:40]}"
        outcome = SaslOutcome(_NO if refusal else _OK)
        self._transport.write(framing.frame(0, outcome, kind=framing.SASL))
        if refusal:
            self.close(f"SASL refused: {refusal}", logging.WARNING)
            return
        self._asks_sasl = False
        self._decoder.expects_header = True

    def _open(self, given: Open) -> None:
        self._is_open = True
        self._decoder.frame_bytes_max = _FRAME_BYTES_MAX
        size = min(_FRAME_BYTES_MAX, max(_FRAME_BYTES_MIN, given.max_frame_size))
        self.payload_bytes_max = size - _TRANSFER_BYTES
        if given.idle_time_out:
            self._says_alive_s = min(_IDLE_S, given.idle_time_out / 2000)
        container = f"fieldpost-{uuid.uuid4().hex}"
        answer = Open(container, None, UInt(_FRAME_BYTES_MAX), UShort(_CHANNEL_MAX), UInt(int(_IDLE_S * 500)))
        self.send(0, answer)
        if self._timer is not None:
            self._timer.cancel()
        self._check()

    def _begin(self, channel: int, begin: Begin) -> None:
        if channel in self._sessions or channel > _CHANNEL_MAX:
            raise types.Malformed(f"channel {channel} is taken, or above {_CHANNEL_MAX}")
        session = self._sessions[channel] = Session(self, channel, begin)
        session.begin()

    def _fail(self, condition: str, reason: str) -> None:
        if self._is_open:
            self.send(0, Close(performatives.error(condition, reason)))
        self.close(reason, logging.WARNING)

    def _check(self) -> None:
        """Time: of a token, of silence, and to say that we live."""
        now = self._loop.time()
        if self._good_until_s is None and now - self._since > _TOKEN_TIMEOUT_S:
            self._fail("amqp:unauthorized-access", "no token in time")
        elif self._good_until_s is not None and not self.is_authorised:
            self._fail("amqp:unauthorized-access", "the token has expired")
        elif now - self._last_heard > _IDLE_S:
            self._fail("amqp:resource-limit-exceeded", "nothing heard for too long")
        else:
            if self._is_open and now - self._last_sent > self._says_alive_s / 2 and self._transport is not None:
                self._last_sent = now
                self._transport.write(framing.empty_frame())
            self._timer = self._loop.call_later(min(_CHECK_S, max(self._says_alive_s / 2, 0.5)), self._check)
