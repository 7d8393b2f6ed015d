"""The local hub, and one device as it knows it."""

from pathlib import Path
from typing import Any

from host_tools.doctor.finding import Finding
from host_tools.errors import UserError
from host_tools.hub.client import HubClient


def look(folder: Path, device: str | None) -> list[Finding]:
    """Ask the hub whose folder is `folder` how it is, and what it knows of `device`, if one is named."""
    client = HubClient(folder)
    try:
        about = client.ask("GET", "hub")
        found = [
            Finding("local hub", True, f"it runs, with {about['devices']} devices, {about['connected']} connected")
        ]
        if device is not None:
            found.append(_device(device, client.ask("GET", "devices", device)))
    except UserError as error:
        return [Finding("local hub", False, str(error))]
    return found


def _device(device: str, told: dict[str, Any]) -> Finding:
    if told["status"] != "enabled":
        return Finding("device", False, f"{device} is disabled at the hub: enable it there")
    is_connected = told["connectionState"].lower() == "connected"
    return Finding("device", is_connected, f"the hub knows {device}; it is {told['connectionState'].lower()} now")
