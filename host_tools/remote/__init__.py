"""Commands to a device wherever its hub is: a lab of this machine, `fieldpost hub`, or Azure IoT Hub.

Each way has the same four verbs, and their answers the same form (see `Device`).
"""

from host_tools.remote.device import Answer, Device, find

__all__ = ["Answer", "Device", "find"]
