"""Which way leads to a device, and the way through a running lab."""

import os
from typing import Any, Protocol

from host_tools.config.settings import read_settings
from host_tools.errors import UserError
from host_tools.lab.client import ask, is_running
from host_tools.lab.folder import LabFolder, state_folder
from host_tools.provision.registry import ENVIRONMENT

Answer = dict[str, Any]

_SLACK_S = 10.0  # the other side gives up first, and can say why


class Device(Protocol):
    """A device, and what a back end may ask of it. Raises UserError if its hub cannot be asked.

    send: {"id", "status", "result"}, or {"id", "status": "none", "reason"} if no answer came in time.
    method: {"status", "answer"}, or {"status": None, "code", "reason"} if the device did not answer.
    twin: {"desired", "reported"}, each with its `$version`.
    set_twin: {"version", "status", "properties"} or {"version", "status": "none", "reason"}.
    """

    def send(self, command: str, arguments: Answer, timeout_s: float) -> Answer: ...

    def method(self, name: str, payload: Answer, timeout_s: float) -> Answer: ...

    def twin(self) -> Answer: ...

    def set_twin(self, patch: Answer, timeout_s: float) -> Answer: ...


class LabDevice:
    """The board of a lab that runs on this machine."""

    def __init__(self, folder: LabFolder) -> None:
        self._folder = folder

    def send(self, command: str, arguments: Answer, timeout_s: float) -> Answer:
        """See Device."""
        request = {"command": command, "arguments": arguments, "timeout_s": timeout_s}
        return ask(self._folder, "send", request, timeout_s=timeout_s + _SLACK_S)

    def method(self, name: str, payload: Answer, timeout_s: float) -> Answer:
        """See Device."""
        request = {"name": name, "payload": payload, "timeout_s": timeout_s}
        return ask(self._folder, "method", request, timeout_s=timeout_s + _SLACK_S)

    def twin(self) -> Answer:
        """See Device."""
        return ask(self._folder, "twin", {})

    def set_twin(self, patch: Answer, timeout_s: float) -> Answer:
        """See Device."""
        return ask(self._folder, "set_twin", {"patch": patch, "timeout_s": timeout_s}, timeout_s=timeout_s + _SLACK_S)


def find(name: str) -> Device:
    """Return the way to the device called `name`.

    A lab of that name comes first; then the hub that FIELDPOST_HUB_CONNECTION_STRING opens; then the local hub
    whose folder fieldpost.toml names. UserError if none of them has it.
    """
    try:
        folder = LabFolder(name)
        if is_running(folder):
            return LabDevice(folder)
    except UserError:
        folder = None  # no name for a lab; a device may be called so
    settings = read_settings()
    if connection_string := os.environ.get(ENVIRONMENT):
        from host_tools.remote.service import ServiceDevice

        return ServiceDevice(name, connection_string, settings.root_certificate)
    from host_tools.remote.local_hub import LocalHubDevice

    data = settings.hub_data or state_folder() / "hub"
    found = LocalHubDevice(name, data)
    if found.is_known():
        return found
    if folder is not None:
        return LabDevice(folder)  # which says what runs, and how to start it
    raise UserError(f"the hub in {data} knows no device '{name}'")
