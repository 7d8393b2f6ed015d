"""A local stand-in for Azure IoT Hub: real TLS, real signatures, acknowledged only when stored.

Shares no code with the firmware: both sides are written from the vendor's pages, so that one misreading
cannot hide in both.
"""

import logging
from typing import TYPE_CHECKING, Any

from host_tools.hub.store.events import StoredMessage, read_messages

if TYPE_CHECKING:
    from host_tools.hub.hub import Hub

__all__ = ["Hub", "StoredMessage", "read_messages"]

# A library says nothing on its own: who wants the hub's log asks for "fieldpost.hub".
logging.getLogger("fieldpost.hub").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    """Load the hub itself when it is asked for: who reads its store, or asks it for something, does not wait for it."""
    if name == "Hub":
        from host_tools.hub.hub import Hub

        return Hub
    raise AttributeError(name)
