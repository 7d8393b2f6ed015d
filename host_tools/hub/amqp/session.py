"""Sessions: the flow of transfers of several links (OASIS AMQP 1.0 part 2, section 2.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from host_tools.hub.amqp import link, performatives
from host_tools.hub.amqp.link import IncomingLink, Link, LinkError, OutgoingLink
from host_tools.hub.amqp.performatives import Attach, Begin, Detach, Disposition, End, Flow, Performative, Transfer
from host_tools.hub.amqp.types import Malformed, UInt, UShort

if TYPE_CHECKING:
    from host_tools.hub.amqp.connection import AmqpConnection

HANDLE_MAX: Final = 63
# Transfers that a peer may send before it hears of us again.
_WINDOW: Final = 2048
_SERIAL: Final = 1 << 32


class Session:
    """One session of a connection, by the channel number that the peer has chosen; ours is the same."""

    def __init__(self, connection: AmqpConnection, channel: int, begin: Begin) -> None:
        self.channel = channel
        self.connection = connection
        self.links: dict[int, Link] = {}
        self._next_incoming_id = int(begin.next_outgoing_id)
        self._incoming_window = _WINDOW
        self._next_outgoing_id = 0
        self._outgoing_room = int(begin.incoming_window)
        self._delivery_id = 0

    def begin(self) -> None:
        """Answer the peer's begin."""
        self.send(Begin(UShort(self.channel), UInt(0), UInt(_WINDOW), UInt(_WINDOW), UInt(HANDLE_MAX)))

    @property
    def may_send(self) -> bool:
        """Whether the peer and the network take a transfer now."""
        return self._outgoing_room > 0 and self.connection.is_writable

    def take(self, performative: Performative, payload: bytes) -> None:
        """Act on what the peer says; raises Malformed for what ends the connection."""
        match performative:
            case Attach():
                self._attach(performative)
            case Flow():
                self._flow(performative)
            case Transfer():
                self._transfer(performative, payload)
            case Disposition():
                if performative.role is performatives.RECEIVER:
                    for known in list(self.links.values()):
                        known.disposition(performative)
            case Detach():
                known_link = self.links.pop(performative.handle, None)
                if known_link is not None:
                    known_link.close()
                    self.send(Detach(performative.handle, performative.closed))
            case _:
                raise Malformed(f"{type(performative).__name__} in a session")

    def close(self) -> None:
        """The session is gone, and its links."""
        links, self.links = list(self.links.values()), {}
        for known in links:
            known.close()

    # --- for links ---

    def send(self, performative: Performative) -> None:
        """Send a frame."""
        self.connection.send(self.channel, performative)

    def send_flow(self, handle: UInt | None = None, count: UInt | None = None, credit: UInt | None = None) -> None:
        """Tell the state of the session, and of a link."""
        self._incoming_window = _WINDOW
        flow = Flow(
            UInt(self._next_incoming_id),
            UInt(_WINDOW),
            UInt(self._next_outgoing_id),
            UInt(_WINDOW),
            handle,
            count,
            credit,
        )
        self.send(flow)

    def next_delivery_id(self) -> int:
        """Return a number for the next delivery."""
        number = self._delivery_id
        self._delivery_id = (number + 1) % _SERIAL
        return number

    def send_transfer(self, transfer: Transfer, data: bytes) -> bytes:
        """Send one frame of a message and return what is left of it."""
        room = self.connection.payload_bytes_max
        transfer.more = len(data) > room
        self._next_outgoing_id = (self._next_outgoing_id + 1) % _SERIAL
        self._outgoing_room -= 1
        self.connection.send(self.channel, transfer, data[:room])
        return data[room:]

    def drop(self, handle: int, failure: LinkError) -> None:
        """End a link for a reason that the peer is told."""
        known = self.links.pop(handle, None)
        if known is not None:
            known.close()
            self.send(Detach(UInt(handle), True, performatives.error(failure.condition, str(failure))))

    def ready(self) -> None:
        """The network takes something again, or there is something new."""
        for known in list(self.links.values()):
            known.ready()

    # --- inside ---

    def _attach(self, attach: Attach) -> None:
        if attach.handle in self.links or attach.handle > HANDLE_MAX:
            raise Malformed(f"handle {attach.handle} is taken, or above {HANDLE_MAX}")
        try:
            if attach.role is performatives.SENDER:
                inbox = self.connection.nodes.inbox(attach)
                new: Link = IncomingLink(self, attach, inbox)
            else:
                handle = int(attach.handle)
                outbox = self.connection.nodes.outbox(
                    self, attach, lambda: self._link_ready(handle), lambda failure: self.drop(handle, failure)
                )
                new = OutgoingLink(self, attach, outbox)
        except LinkError as failure:
            link.refuse(self, attach, failure)
            return
        self.links[attach.handle] = new
        new.begin(attach)

    def _link_ready(self, handle: int) -> None:
        known = self.links.get(handle)
        if known is not None:
            known.ready()

    def _flow(self, flow: Flow) -> None:
        # What the peer has not heard of yet is on its way (2.5.6).
        on_the_way = (self._next_outgoing_id - (flow.next_incoming_id or 0)) % _SERIAL
        self._outgoing_room = int(flow.incoming_window) - (on_the_way if on_the_way < _SERIAL // 2 else 0)
        if flow.handle is None:
            if flow.echo:
                self.send_flow()
            self.ready()
            return
        known = self.links.get(flow.handle)
        if known is not None:
            known.flow(flow)

    def _transfer(self, transfer: Transfer, payload: bytes) -> None:
        self._next_incoming_id = (self._next_incoming_id + 1) % _SERIAL
        self._incoming_window -= 1
        if self._incoming_window < 0:
            raise Malformed("more transfers than the session's window")
        if self._incoming_window <= _WINDOW // 2:
            self.send_flow()
        known = self.links.get(transfer.handle)
        if known is None:
            return  # it may not know yet that the link has ended
        try:
            known.transfer(transfer, payload)
        except LinkError as failure:
            self.drop(transfer.handle, failure)


def end(channel: int, connection: AmqpConnection, condition: str, reason: str) -> None:
    """Refuse a session."""
    connection.send(channel, End(performatives.error(condition, reason)))
