"""A local stand-in for Azure IoT Hub: real TLS, real signatures, acknowledged only when stored.

Shares no code with the firmware: both sides are written from the vendor's pages, so that one misreading
cannot hide in both.
"""

import logging

from host_tools.hub.hub import Hub
from host_tools.hub.store.events import StoredMessage, read_messages

__all__ = ["Hub", "StoredMessage", "read_messages"]

# A library says nothing on its own: who wants the hub's log asks for "fieldpost.hub".
logging.getLogger("fieldpost.hub").addHandler(logging.NullHandler())
