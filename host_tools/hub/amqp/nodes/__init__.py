"""What addresses name: nodes that take messages from back ends, or give them some."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from host_tools.hub.amqp import performatives
from host_tools.hub.amqp.link import Inbox, LinkError, Outbox
from host_tools.hub.amqp.nodes.claims import Claims
from host_tools.hub.amqp.nodes.commands import Commands
from host_tools.hub.amqp.nodes.events import EventsOfPartition
from host_tools.hub.amqp.nodes.feedback import FeedbackBatches
from host_tools.hub.amqp.nodes.management import Management
from host_tools.hub.amqp.nodes.request_response import RequestResponse
from host_tools.hub.amqp.performatives import Attach

if TYPE_CHECKING:
    from host_tools.hub.amqp.connection import AmqpConnection
    from host_tools.hub.amqp.session import Session
    from host_tools.hub.hub import Hub

_CLAIMS: Final = "$cbs"
_PARTITION: Final = re.compile(
    r"(?P<entity>.{1,256})/consumergroups/(?P<group>[^/]{1,256})/partitions/(?P<id>[0-9]{1,4})"
)
# A stranger puts a token; that takes two links.
_STRANGERS_LINKS_MAX: Final = 8


class Nodes:
    """The nodes as one connection sees them."""

    def __init__(self, hub: Hub, connection: AmqpConnection) -> None:
        self._hub = hub
        self._connection = connection
        self._links_of_a_stranger = 0
        self._claims = RequestResponse(Claims(connection).answer, 16 * 1024)
        self._management = RequestResponse(Management(hub).answer, 64 * 1024)

    def inbox(self, attach: Attach) -> Inbox:
        """Return the node that a link of the peer sends to; raises LinkError."""
        path = self._path(performatives.address(attach.target))
        if path == _CLAIMS:
            return self._claims.inbox()
        if path.rpartition("/")[2] == "$management":
            return self._management.inbox()
        if path == "messages/devicebound":
            return Commands(self._hub)
        raise LinkError("amqp:not-found", f"the hub takes no messages for {path[:200]!r}")

    def outbox(
        self, session: Session, attach: Attach, ready: Callable[[], None], drop: Callable[[LinkError], None]
    ) -> Outbox:
        """Return the node that a link of the peer receives from; raises LinkError.

        ready: to be called when there is something. drop: ends the link.
        """
        path = self._path(performatives.address(attach.source))
        reply_to = performatives.address(attach.target)
        if path == _CLAIMS:
            return self._claims.outbox(reply_to, ready)
        if path.rpartition("/")[2] == "$management":
            return self._management.outbox(reply_to, ready)
        if path == "messages/servicebound/feedback":
            return FeedbackBatches(self._hub, ready)
        found = _PARTITION.fullmatch(path)
        if found:
            return EventsOfPartition(self._hub, found["group"], int(found["id"]), attach, ready, drop)
        raise LinkError("amqp:not-found", f"the hub has no messages at {path[:200]!r}")

    def close(self) -> None:
        """The connection is gone."""
        self._claims.close()
        self._management.close()

    def _path(self, address: str) -> str:
        """Return an address without scheme and host, in lower case; LinkError for who may not go there."""
        path = address.partition("://")[2].partition("/")[2] if "://" in address else address
        path = path.strip("/").lower()
        if not self._connection.is_authorised:
            self._links_of_a_stranger += 1
            if path != _CLAIMS or self._links_of_a_stranger > _STRANGERS_LINKS_MAX:
                raise LinkError("amqp:unauthorized-access", "put a token to $cbs first")
        return path
