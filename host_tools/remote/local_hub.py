"""A device at `fieldpost hub` on this machine, over its admin API."""

import json
import time
import uuid
from pathlib import Path
from typing import Any

from host_tools.audit.claims import is_ours
from host_tools.errors import UserError
from host_tools.hub.client import HubClient, Refused
from host_tools.remote.waiting import Json, device_view, verdict_on

_POLL_S = 0.1
_SLACK_S = 10.0


class LocalHubDevice:
    """See remote.device.Device. data: the hub's folder."""

    def __init__(self, device: str, data: Path) -> None:
        self._device = device
        self._client = HubClient(data)

    def is_known(self) -> bool:
        """Whether the hub runs and has the device."""
        try:
            self._client.ask("GET", "devices", self._device)
        except UserError:
            return False
        return True

    def send(self, command: str, arguments: Json, timeout_s: float) -> Json:
        """Queue a command and look for its answer among what the device sends."""
        after = self._client.ask("GET", "hub")["last_sequence"]
        message_id = uuid.uuid4().hex
        body = json.dumps({"command": command, "arguments": arguments}, separators=(",", ":"))
        self._client.ask(
            "POST", "devices", self._device, "commands", body={"body": body, "message_id": message_id, "properties": {}}
        )
        deadline_s = time.monotonic() + timeout_s
        while True:
            messages = self._client.ask("GET", "messages", query={"device": self._device, "after": after})
            for message in messages:
                after = message["sequence"]
                for record in _records(message):
                    if record.get("event") == "result" and record.get("id") == message_id:
                        return {"id": message_id, "status": record["status"], "result": record.get("result", {})}
            if time.monotonic() >= deadline_s:
                return {"id": message_id, "status": "none", "reason": self._why("the command")}
            time.sleep(_POLL_S)

    def method(self, name: str, payload: Json, timeout_s: float) -> Json:
        """Call a method."""
        try:
            answer = self._client.ask(
                "POST",
                "devices",
                self._device,
                "methods",
                name,
                body={"payload": payload, "timeout_s": timeout_s},
                timeout_s=timeout_s + _SLACK_S,
            )
        except Refused as refused:
            if "code" not in refused.answer:
                raise
            return {"status": None, "code": refused.answer["code"], "reason": str(refused)}
        return {"status": answer["status"], "answer": answer["payload"]}

    def twin(self) -> Json:
        """Return the twin."""
        return device_view(self._client.ask("GET", "devices", self._device, "twin"))

    def set_twin(self, patch: Json, timeout_s: float) -> Json:
        """Change desired properties and wait for the device's verdict."""
        changed = self._client.ask("PATCH", "devices", self._device, "twin", body={"properties": {"desired": patch}})
        found = verdict_on(patch, device_view(changed)["desired"]["$version"], self.twin, timeout_s, _POLL_S)
        return found if found["status"] != "none" else {**found, "reason": self._why("the desired properties")}

    def _why(self, what: str) -> str:
        about = self._client.ask("GET", "devices", self._device)
        if about["connectionState"] == "Connected":
            return "the device is connected but did not answer in time"
        return f"the device is not connected; the hub keeps {what} until it is back"


def _records(message: dict[str, Any]) -> list[Json]:
    """Return the records of a message, none if it is not of an agent's."""
    if not is_ours(message["properties"]):
        return []
    try:
        return [record for record in json.loads(message["body"])["records"] if isinstance(record, dict)]
    except (ValueError, KeyError, TypeError):
        return []
