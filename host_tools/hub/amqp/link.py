"""Links: one-way streams of messages between a back end and a node of the hub (OASIS AMQP 1.0 part 2, section 2.6).

A node is what an address names: it takes messages (`Inbox`), or has some to give (`Outbox`). Links hold no more than
one incomplete message, and what a peer has not settled.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from host_tools.hub.amqp import performatives
from host_tools.hub.amqp.performatives import Attach, Detach, Disposition, Flow, Transfer
from host_tools.hub.amqp.types import Described, UByte, UInt, ULong

if TYPE_CHECKING:
    from host_tools.hub.amqp.session import Session

# Messages that a peer may have on their way to a node.
CREDIT: Final = 64
# Deliveries that a peer has not settled, whatever credit it gives.
_UNSETTLED_MAX: Final = 256
_SERIAL: Final = 1 << 32
_SETTLED: Final = UByte(1)


class LinkError(Exception):
    """The link ends; `condition` is what the peer is told."""

    def __init__(self, condition: str, reason: str) -> None:
        super().__init__(reason)
        self.condition = condition


class Inbox(Protocol):
    """A node that takes messages. message_bytes_max: of one message, as it is encoded."""

    message_bytes_max: int

    def take(self, data: bytes, settle: Callable[[Described], None]) -> None:
        """Deal with a message, and call `settle` with its outcome, now or later; raises Malformed or LinkError."""

    def close(self) -> None:
        """The link is gone."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be sent. settled: called with whether the peer is done with it; None: it is sent settled."""

    data: bytes
    settled: Callable[[bool], None] | None = None


class Outbox(Protocol):
    """A node that has messages to give."""

    def next(self) -> Outgoing | None:
        """Return the next message, None if there is none now; `ready` of the link is called when there is one."""

    def close(self) -> None:
        """The link is gone; what it has not settled comes again elsewhere."""


class IncomingLink:
    """The peer sends."""

    def __init__(self, session: Session, attach: Attach, inbox: Inbox) -> None:
        self.handle = attach.handle
        self.target = performatives.address(attach.target)
        self._session = session
        self._inbox = inbox
        self._delivery_count = attach.initial_delivery_count or UInt(0)
        self._credit = CREDIT
        self._unsettled = 0
        self._partial = bytearray()
        self._delivery: Transfer | None = None
        self._is_open = True

    def begin(self, attach: Attach) -> None:
        """Answer the attach, and let the peer send."""
        answer = Attach(attach.name, self.handle, performatives.RECEIVER, attach.snd_settle_mode)
        answer.source = performatives.source(performatives.address(attach.source) or attach.name)
        answer.target = performatives.target(self.target)
        answer.max_message_size = ULong(self._inbox.message_bytes_max)
        self._session.send(answer)
        self._give_credit()

    def transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Take a frame; raises LinkError, or Malformed."""
        if self._delivery is None:
            if transfer.delivery_id is None:
                raise LinkError("amqp:invalid-field", "a delivery begins without its id")
            if not self._credit:
                raise LinkError("amqp:link:transfer-limit-exceeded", "more messages than there was credit for")
            self._delivery = transfer
        delivery = self._delivery
        if not transfer.aborted:
            self._partial += payload
            if len(self._partial) > self._inbox.message_bytes_max:
                limit = self._inbox.message_bytes_max
                raise LinkError("amqp:link:message-size-exceeded", f"a message has at most {limit} bytes")
            if transfer.more:
                return
        data, self._partial, self._delivery = bytes(self._partial), bytearray(), None
        self._credit -= 1
        self._delivery_count = UInt((self._delivery_count + 1) % _SERIAL)
        if transfer.aborted:
            self._give_credit()
            return
        self._unsettled += 1
        self._inbox.take(data, lambda state: self._settle(delivery, state))

    def flow(self, flow: Flow) -> None:
        """The peer asks how much it may send."""
        if flow.echo:
            self._give_credit()

    @property
    def held_bytes(self) -> int:
        """How much of a message has come."""
        return len(self._partial)

    def ready(self) -> None:
        """Nothing to send."""

    def disposition(self, disposition: Disposition) -> None:
        """The peer speaks of its own deliveries, which are settled here."""

    def close(self) -> None:
        """The link is gone."""
        self._is_open = False
        self._inbox.close()

    def _settle(self, delivery: Transfer, state: Described) -> None:
        self._unsettled -= 1
        if not self._is_open:
            return
        if not delivery.settled:
            number = delivery.delivery_id
            assert number is not None
            self._session.send(Disposition(performatives.RECEIVER, number, number, True, state))
        if self._credit + self._unsettled <= CREDIT // 2:
            self._give_credit()

    def _give_credit(self) -> None:
        self._credit = max(0, CREDIT - self._unsettled)
        self._session.send_flow(self.handle, self._delivery_count, UInt(self._credit))


class OutgoingLink:
    """The peer receives."""

    def __init__(self, session: Session, attach: Attach, outbox: Outbox) -> None:
        self.handle = attach.handle
        self.target = performatives.address(attach.target)
        self._session = session
        self._outbox = outbox
        self._delivery_count = 0
        self._credit = 0
        self._drains = False
        self._unsettled: dict[int, Callable[[bool], None]] = {}
        self._tags = itertools.count()
        # A message that is being cut into frames: the rest of it, and its first Transfer.
        self._rest: tuple[Transfer, bytes] | None = None
        self._is_open = True

    def begin(self, attach: Attach) -> None:
        """Answer the attach; the peer gives credit when it wants something."""
        answer = Attach(attach.name, self.handle, performatives.SENDER, attach.snd_settle_mode, attach.rcv_settle_mode)
        filters = performatives.filters(attach.source) or None
        answer.source = performatives.source(performatives.address(attach.source), filters)
        answer.target = performatives.target(self.target or attach.name)
        answer.initial_delivery_count = UInt(0)
        self._session.send(answer)

    def transfer(self, transfer: Transfer, payload: bytes) -> None:
        """The peer does not send here."""
        raise LinkError("amqp:not-allowed", "this link goes the other way")

    def flow(self, flow: Flow) -> None:
        """Credit, and wishes (2.6.7)."""
        if flow.link_credit is not None:
            # What it has not heard of yet is used up already.
            given = ((flow.delivery_count or 0) + flow.link_credit - self._delivery_count) % _SERIAL
            self._credit = given if given < _SERIAL // 2 else 0
        self._drains = flow.drain
        self.ready()
        if flow.echo and self._is_open:
            self._send_flow()

    def ready(self) -> None:
        """Send what there is, as far as the peer, the session and the network take it."""
        while self._is_open and (self._rest is not None or (self._credit and len(self._unsettled) < _UNSETTLED_MAX)):
            if not self._session.may_send:
                return
            if self._rest is None:
                message = self._outbox.next()
                if message is None:
                    break
                self._rest = self._first(message), message.data
                self._credit -= 1
                self._delivery_count = (self._delivery_count + 1) % _SERIAL
            transfer, data = self._rest
            rest = self._session.send_transfer(transfer, data)
            self._rest = (Transfer(self.handle), rest) if rest else None
        if self._drains and self._is_open and self._rest is None and self._credit:
            self._delivery_count = (self._delivery_count + self._credit) % _SERIAL
            self._credit = 0
            self._send_flow()

    @property
    def held_bytes(self) -> int:
        """How much of a message has not gone."""
        return len(self._rest[1]) if self._rest is not None else 0

    def disposition(self, disposition: Disposition) -> None:
        """What the peer has made of deliveries."""
        last = disposition.first if disposition.last is None else disposition.last
        if disposition.state is None and not disposition.settled:
            return
        is_done = performatives.is_accepted(disposition.state)
        for number in [number for number in self._unsettled if disposition.first <= number <= last]:
            self._unsettled.pop(number)(is_done)
            if not disposition.settled:
                answer = Disposition(performatives.SENDER, UInt(number), UInt(number), True, disposition.state)
                self._session.send(answer)
        self.ready()

    def close(self) -> None:
        """The link is gone."""
        self._is_open = False
        self._outbox.close()

    def _first(self, message: Outgoing) -> Transfer:
        number = self._session.next_delivery_id()
        if message.settled is not None:
            self._unsettled[number] = message.settled
        tag = next(self._tags).to_bytes(8, "big")
        return Transfer(self.handle, UInt(number), tag, UInt(0), message.settled is None)

    def _send_flow(self) -> None:
        self._session.send_flow(self.handle, UInt(self._delivery_count), UInt(self._credit))


Link = IncomingLink | OutgoingLink


def refuse(session: Session, attach: Attach, failure: LinkError) -> None:
    """Answer an attach and end it at once.

    With source and target, though 2.6.3 leaves them out: clients of Microsoft's would miss the error otherwise.
    """
    answer = Attach(attach.name, attach.handle, not attach.role, attach.snd_settle_mode, attach.rcv_settle_mode)
    answer.source = performatives.source(performatives.address(attach.source) or attach.name)
    answer.target = performatives.target(performatives.address(attach.target) or attach.name)
    answer.initial_delivery_count = None if attach.role is performatives.SENDER else UInt(0)
    session.send(answer)
    session.send(Detach(attach.handle, True, performatives.error(failure.condition, str(failure))))
