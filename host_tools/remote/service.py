"""A device at any IoT Hub over the service's REST: Azure's, or the local hub's, which answers the same.

Source: Microsoft, Azure IoT Hub REST reference 2021-04-12, "Devices - Invoke Method", "Twin - Get", "Twin - Update".
"""

import urllib.parse
from pathlib import Path

from host_tools.errors import UserError
from host_tools.provision.registry import Registry
from host_tools.remote.waiting import Json, device_view, verdict_on

_POLL_S = 1.0  # reads of twins are counted and throttled
_RESPONSE_S_MIN, _RESPONSE_S_MAX = 5, 300
_SLACK_S = 10.0


class ServiceDevice:
    """See remote.device.Device. connection_string: of a policy with ServiceConnect. port: other than the usual one."""

    def __init__(self, device: str, connection_string: str, root: Path | None = None, port: int | None = None) -> None:
        self._device = device
        self._hub = Registry(connection_string, root, port)
        self._path = "/twins/" + urllib.parse.quote(device, safe="")

    def send(self, command: str, arguments: Json, timeout_s: float) -> Json:
        """Not over REST: UserError that says what to do instead."""
        raise UserError(
            f"{self._hub.host} takes cloud-to-device messages over AMQP alone: use 'fieldpost method {self._device} "
            f"{command}', or 'az iot device c2d-message send' with the property command={command}"
        )

    def method(self, name: str, payload: Json, timeout_s: float) -> Json:
        """Call a method; a hub waits 5 s at least."""
        wait_s = min(max(_RESPONSE_S_MIN, round(timeout_s)), _RESPONSE_S_MAX)
        body = {"methodName": name, "payload": payload, "responseTimeoutInSeconds": wait_s}
        status, answer = self._hub.request("POST", self._path + "/methods", body, wait_s + _SLACK_S)
        if status == 404:
            return {"status": None, "code": 404103, "reason": "the hub knows no such device, or it is not connected"}
        if status == 504:
            reason = "the device is connected but did not answer in time; whether it acted is not known"
            return {"status": None, "code": 504101, "reason": reason}
        self._hub.check(status)
        return {"status": answer["status"], "answer": answer.get("payload")}

    def twin(self) -> Json:
        """Return the twin."""
        status, answer = self._hub.request("GET", self._path)
        self._check(status)
        return device_view(answer)

    def set_twin(self, patch: Json, timeout_s: float) -> Json:
        """Change desired properties and wait for the device's verdict."""
        status, answer = self._hub.request("PATCH", self._path, {"properties": {"desired": patch}})
        if status == 400:
            raise UserError(f"{self._hub.host} does not take these desired properties")
        self._check(status)
        return verdict_on(patch, device_view(answer)["desired"]["$version"], self.twin, timeout_s, _POLL_S)

    def _check(self, status: int) -> None:
        if status == 404:
            raise UserError(f"{self._hub.host} knows no device '{self._device}'")
        self._hub.check(status)
