"""Tokens put to $cbs (OASIS, "AMQP Claims-based Security")."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from host_tools.hub import sas
from host_tools.hub.amqp.message import Message
from host_tools.hub.amqp.nodes.request_response import response

if TYPE_CHECKING:
    from host_tools.hub.amqp.connection import AmqpConnection

log = logging.getLogger("fieldpost.hub")


class Claims:
    """The claims of one connection. A later token takes the place of the earlier one."""

    def __init__(self, connection: AmqpConnection) -> None:
        self._connection = connection

    async def answer(self, request: Message) -> Message:
        """Deal with put-token."""
        if request.application.get("operation") != "put-token":
            return response(400, "the operation is put-token")
        token = request.value
        if not isinstance(token, str):
            return response(400, "the body is to be the token")
        try:
            self._connection.authorise(token)
        except sas.SasRefused as error:
            log.warning("token refused over AMQP: %s", error)
            return response(401, str(error))
        return response(200, "OK")
