"""Cloud-to-device messages that back ends send to /messages/devicebound.

Microsoft, "Communicate with your IoT hub by using the AMQP protocol". The device is named by the property `to`; the
outcome is accepted when the message is durable, rejected with a condition otherwise.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from host_tools.errors import UserError
from host_tools.hub import commands
from host_tools.hub.amqp import message, performatives
from host_tools.hub.amqp.types import Described
from host_tools.hub.devices.command_queue import QueueFull
from host_tools.hub.throttle import Throttled

if TYPE_CHECKING:
    from host_tools.hub.hub import Hub

_TO: Final = re.compile(r"/?devices/([^/]+)/messages/devicebound", re.IGNORECASE)
_SYSTEM: Final = ("correlation-id", "user-id", "content-type", "content-encoding")


class Commands:
    """Where such a link's messages go. Order is kept: each is queued before the next one is looked at."""

    message_bytes_max = commands.COMMAND_BYTES_MAX + 64 * 1024

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, data: bytes, settle: Callable[[Described], None]) -> None:
        """Queue a message for a device."""
        given = message.parse(data)
        task = asyncio.get_running_loop().create_task(self._send(given, settle))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """What was taken is queued all the same."""

    async def _send(self, given: message.Message, settle: Callable[[Described], None]) -> None:
        settle(await self._outcome(given))

    async def _outcome(self, given: message.Message) -> Described:
        properties = given.properties
        found = _TO.fullmatch(_text(properties.get("to", "")))
        if found is None or self._hub.devices.get(found[1]) is None:
            reason = "the property `to` names no device: expected /devices/ID/messages/devicebound"
            return performatives.rejected("amqp:not-found", reason)
        body = given.body if given.value is None else _text(given.value).encode()
        expiry = properties.get("absolute-expiry-time")
        message_id = properties.get("message-id")
        try:
            await self._hub.send(
                found[1],
                body,
                {name: _text(value) for name, value in given.application.items()},
                None if message_id is None else _text(message_id),
                expiry / 1000 if isinstance(expiry, int) else None,
                {name: _text(properties[name]) for name in _SYSTEM if name in properties},
            )
        except QueueFull as error:
            return performatives.rejected("amqp:resource-limit-exceeded", str(error))
        except Throttled as error:
            return performatives.rejected("com.microsoft:device-container-throttled", str(error))
        except (UserError, OverflowError, OSError, ValueError) as error:  # those for expiries that no calendar has
            return performatives.rejected("com.microsoft:argument-error", str(error))
        return performatives.ACCEPTED


def _text(value: Any) -> str:
    """A property as a device gets it: MQTT has texts only."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return "" if value is None else str(value)
