"""One TCP connection: bytes, time and back-pressure. What the packets mean is the session's.

connection_made -- CONNECT in time, admitted --> session -- any trouble, or DISCONNECT --> closed
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from host_tools.hub import budget, property_bag, tls
from host_tools.hub.devices import identity
from host_tools.hub.mqtt import codec
from host_tools.hub.mqtt.session import Session
from host_tools.hub.provisioning import session as provisioning
from host_tools.hub.throttle import Kind, Throttled

if TYPE_CHECKING:
    from host_tools.hub.hub import Hub

log = logging.getLogger("fieldpost.hub")

CONNECT_TIMEOUT_S: Final = 30.0
# Names, a token and a will of a few kilobytes: a stranger may make the hub keep no more than this.
CONNECT_BYTES_MAX: Final = 16 * 1024
# An applicant has its assignment within seconds, or comes again.
PROVISIONING_TIMEOUT_S: Final = 600.0
# Publishes taken and not yet durable; beyond either the socket is not read until the disk has caught up.
UNCOMMITTED_MAX: Final = 1000
UNCOMMITTED_BYTES_MAX: Final = 1024 * 1024
# Written at once beyond this, so that a peer that does not read is noticed within one burst of its packets.
_OUTGOING_BYTES_MAX: Final = 64 * 1024
# What is no plain telemetry is acted upon for so long, before others are heard: a device may ask for much in few bytes.
_TURN_S: Final = 0.01
# A timer for longer than this is set in pieces: event loops refuse very long ones.
_TIMER_S_MAX: Final = 86_400.0
# Microsoft, "Communicate with an IoT hub using the MQTT protocol": the hub waits no longer, whatever is asked for.
KEEP_ALIVE_S_MAX: Final = 1767.0


# What the network has brought, until it is in a decoder: for all connections, since each is done with it at once.
_INCOMING: Final = memoryview(bytearray(128 * 1024))


class _Gone(asyncio.Transport):
    """Instead of a transport that is lost: nobody hears, and nothing more comes."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        pass


class Connection(asyncio.BufferedProtocol):
    """The server side of one connection."""

    def __init__(self, hub: Hub) -> None:
        self.session: Session | provisioning.ProvisioningSession | None = None
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._decoder = codec.Decoder(CONNECT_BYTES_MAX)
        self._transport: asyncio.Transport | None = None
        self._peer = "?"
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._last_heard = 0.0
        self._uncommitted = 0
        self._uncommitted_bytes = 0
        self._is_writable = True
        # What has come is acted upon; the transport may follow later.
        self._is_reading = True
        self._is_paused = False
        self._outgoing = bytearray()
        # Why the connection has ended while there was something left to act upon.
        self._lost: str | None = None

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of asyncio's
        self._peer = str(transport.get_extra_info("peername"))
        if not self._hub.is_open:  # its handshake ended after the hub did
            self.close("the hub stops")
            return
        self._hub.connections.add(self)
        allowed_s = CONNECT_TIMEOUT_S * self._hub.behaviour.patience
        self._set_timer("CONNECT", allowed_s, lambda: self.close("no CONNECT in time", logging.WARNING))

    def get_buffer(self, sizehint: int) -> memoryview:
        return _INCOMING

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(_INCOMING[:nbytes])

    def data_received(self, data: bytes | memoryview) -> None:
        """Take bytes, which may be overwritten afterwards."""
        self._last_heard = self._loop.time()
        decoder, session = self._decoder, self.session
        if decoder.is_empty and isinstance(session, Session) and self._transport and session.take_repeated(data):
            return
        decoder.feed(data)
        self._proceed()
        if decoder.held_bytes > budget.LARGE_BYTES:
            self._hub.budget.look_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        reason = f"connection lost{f': {exc}' if exc else ''}"
        if self._transport is None or self._decoder.is_empty:
            self.close(reason)
            return
        # What it said before it went still counts: DISCONNECT may be among it.
        self._lost, self._transport, self._is_writable = reason, _Gone(), True
        if self._is_reading:
            self._proceed()
        else:
            self._choose_reading()

    def pause_writing(self) -> None:
        self._is_writable = False
        self._hub.budget.look_soon()
        self._choose_reading()

    def resume_writing(self) -> None:
        self._is_writable = True
        self._choose_reading()
        if self.session is not None:
            self.session.deliver()

    # --- for the hub ---

    def close(self, reason: str, level: int = logging.INFO, is_graceful: bool = False) -> None:
        """End the connection, once; `reason` goes to the log, for MQTT 3.1.1 has no way to tell the peer."""
        if self._transport is None:
            return
        self.flush()
        transport, self._transport = self._transport, None
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        session = self.session
        name = session.device_id if session is not None else "connection"
        log.log(level, "%s from %s closed: %s", name, self._peer, reason)
        self._hub.detach(self)
        if session is not None:
            session.end(is_graceful)
        transport.close()

    @property
    def transport(self) -> Any:
        """For the budget of all connections."""
        return self._transport

    def held_bytes(self) -> int:
        """For the budget of all connections: what is no whole packet or waits for its turn, and what is not read."""
        return self._decoder.held_bytes + len(self._outgoing) + budget.in_transport(self._transport)

    def look_again(self) -> None:
        """The disk has caught up with all the others."""
        self._choose_reading()

    # --- for the session ---

    @property
    def is_writable(self) -> bool:
        """Whether the peer reads as fast as we write."""
        return self._is_writable

    def write(self, data: bytes) -> None:
        """Send with whatever else is written in this turn of the loop: acknowledgements come in groups."""
        if self._transport is not None:
            if not self._outgoing:
                self._hub.flush_soon(self)
            self._outgoing += data
            if len(self._outgoing) > _OUTGOING_BYTES_MAX:
                self.flush()

    def flush(self) -> None:
        """Send what was written."""
        if self._transport is not None and self._outgoing:
            outgoing, self._outgoing = self._outgoing, bytearray()
            self._transport.write(outgoing)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back unless the connection has ended by then."""
        self._loop.call_later(seconds, lambda: callback() if self._transport is not None else None)

    def hold(self, size: int, count: int = 1) -> None:
        """`count` more messages of `size` bytes in all were taken from the peer and are not durable."""
        self._uncommitted += count
        self._uncommitted_bytes += size
        if (
            self._uncommitted >= UNCOMMITTED_MAX
            or self._uncommitted_bytes >= UNCOMMITTED_BYTES_MAX
            or self._hub.store_fullness >= 1
        ):
            self._choose_reading()

    def let_go(self, size: int, count: int = 1) -> None:
        """They are durable now."""
        self._uncommitted -= count
        self._uncommitted_bytes -= size
        if not self._is_reading:
            self._choose_reading()

    # --- inside ---

    def _proceed(self) -> None:
        """Act on what has come. While it is not to be read, or others wait, the rest stays in the decoder."""
        decoder = self._decoder
        began = time.monotonic()
        try:
            while self._transport is not None and self._is_reading and not decoder.is_empty:
                if isinstance(self.session, Session) and self.session.take_telemetry(decoder):
                    continue
                packet = decoder.next_packet()
                if packet is None:
                    break
                self._handle(packet)
                if time.monotonic() - began > _TURN_S and not decoder.is_empty:
                    self._pause_reading()
                    self._loop.call_soon(self._choose_reading)
            if self._lost is not None and self._is_reading:
                self.close(self._lost)
        except (codec.ProtocolError, property_bag.BagMalformed, Throttled) as error:
            self.close(str(error), logging.WARNING)

    def _catch_up(self) -> None:
        """Act on what was left, then hear more: the end of the connection, too, comes behind it."""
        self._proceed()
        if self._transport is not None and self._is_reading and self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def _handle(self, packet: codec.Packet) -> None:
        if isinstance(packet, codec.Disconnect):
            self.close("disconnected", is_graceful=True)
        elif self.session is not None:
            self.session.handle(packet)
        elif isinstance(packet, codec.Connect):
            self._connect(packet)
        else:
            raise codec.ProtocolError("the first packet is not CONNECT (3.1)")

    def _connect(self, connect: codec.Connect) -> None:
        hub = self._hub
        try:
            if not hub.throttle.allows(Kind.CONNECTIONS):
                raise identity.Refused(identity.UNAVAILABLE, "throttled: too many new connections")
            chain = tls.peer_chain(self._transport_info("ssl_object"))
            applicant = provisioning.applicant(connect, chain)
            admission = hub.admit(connect, chain) if applicant is None else None
        except identity.Refused as refused:
            self.write(codec.connack(False, refused.code))
            self.close(f"CONNECT refused with {refused.code}: {refused}", logging.WARNING)
            return
        if admission is not None:
            device_id = admission.device.id
            self.session = Session(hub, device_id, connect, self)
            hub.attach(self, device_id)  # an older connection gives back what it has in flight, before this one begins
            self._watch_token(admission.expires_s)
        else:
            assert applicant is not None
            self.session = provisioning.ProvisioningSession(hub, applicant, self)
            self._set_timer(
                "provisioning",
                PROVISIONING_TIMEOUT_S,
                lambda: self.close("provisioning took too long", logging.WARNING),
            )
        self._decoder.packet_bytes_max = codec.PACKET_BYTES_MAX
        self.write(codec.connack(self.session.is_resumed, identity.ACCEPTED))
        self._timers.pop("CONNECT").cancel()
        if connect.keep_alive_s:
            allowed_s = min(connect.keep_alive_s * 1.5, KEEP_ALIVE_S_MAX)  # 3.1.2.10
            self._watch_silence(allowed_s * self._hub.behaviour.patience)
        log.info("%s connected from %s", self.session.device_id, self._peer)
        self.session.begin()

    def _transport_info(self, name: str) -> object:
        return self._transport.get_extra_info(name) if self._transport is not None else None

    def _choose_reading(self) -> None:
        """Read no faster than the disk writes, nor than the peer takes the acknowledgements."""
        if self._transport is None:
            return
        of_all = self._hub.store_fullness
        fullness = max(self._uncommitted / UNCOMMITTED_MAX, self._uncommitted_bytes / UNCOMMITTED_BYTES_MAX, of_all)
        if of_all > 0.5 and (fullness >= 1 or not self._is_reading):
            self._hub.wait_for_the_disk(self)  # others' messages end its wait, not its own
        if fullness >= 1 or not self._is_writable:
            self._pause_reading()
        elif not self._is_reading and fullness <= 0.5 and self._is_writable:
            self._is_reading = True
            self._last_heard = self._loop.time()  # it could not be heard until now
            self._loop.call_soon(self._catch_up)

    def _pause_reading(self) -> None:
        self._is_reading = False
        if not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def _watch_token(self, expires_s: float) -> None:
        left_s = expires_s - self._hub.clock()
        if left_s <= 0:
            self.close("401003: the token, or the certificate, has expired", logging.WARNING)
        else:
            self._set_timer("token", min(left_s, _TIMER_S_MAX), lambda: self._watch_token(expires_s))

    def _watch_silence(self, allowed_s: float) -> None:
        if not self._is_reading and self._is_writable:
            self._last_heard = self._loop.time()  # the disk is behind, which is not the peer's silence
        silent_s = self._loop.time() - self._last_heard
        if silent_s >= allowed_s:
            self.close(f"silent for {silent_s:.1f} s, more than 1.5 times its keep-alive", logging.WARNING)
        else:
            self._set_timer("silence", allowed_s - silent_s + 0.05, lambda: self._watch_silence(allowed_s))

    def _set_timer(self, name: str, seconds: float, callback: Callable[[], None]) -> None:
        self._timers[name] = self._loop.call_later(seconds, callback)
