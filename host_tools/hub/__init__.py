"""A local stand-in for Azure IoT Hub: real TLS, real signatures, acknowledged only when stored.

Shares no code with the firmware: both sides are written from the vendor's pages, so that one misreading
cannot hide in both.
"""

from host_tools.hub.hub import Hub
from host_tools.hub.store.events import StoredMessage, read_messages

__all__ = ["Hub", "StoredMessage", "read_messages"]
