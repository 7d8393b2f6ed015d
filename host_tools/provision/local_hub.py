"""Identities at the local hub, which runs on this machine and can simply be asked."""

from pathlib import Path
from typing import Any

from host_tools.errors import UserError
from host_tools.hub.client import HubClient
from host_tools.provision.device_identity import root_certificates
from host_tools.provision.documents import registry_requests
from host_tools.provision.inventory import Entry


class LocalHub:
    """The hub whose folder is `folder`. UserError if none runs there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._client = HubClient(folder)
        about = self._client.ask("GET", "hub")
        self.host: str = about["hostname"]
        self._id_scope: str = about["id_scope"]
        self.port: int = about["ports"][0]
        self.roots = root_certificates(Path(about["ca_file"]))

    def enrol(self, device: str, document: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make `device`, or find it, and return the hub's document of it; a given key or type replaces the old."""
        made: dict[str, Any] = self._client.ask("PUT", "devices", device, body=document)
        if document is not None and made["authentication"] != document["authentication"]:
            made = self._client.ask("PATCH", "devices", device, body=document)
        return made

    def enrol_entry(self, entry: Entry) -> None:
        """Make a device of the inventory known."""
        self.enrol(entry.device, registry_requests([entry])[0][0])

    def check_id_scope(self, id_scope: str) -> None:
        """Raise UserError unless this hub's provisioning service has that ID scope."""
        if id_scope != self._id_scope:
            raise UserError(
                f"the local hub's ID scope is {self._id_scope}, and provisioning.id_scope in fieldpost.toml is "
                f"{id_scope}: put the hub's there"
            )

    def enrol_for_assignment(self, entry: Entry) -> None:
        """Let a device ask the provisioning service for its hub. Those of a group can do so already."""
        if entry.group_name is None:
            document = {"certificate": entry.certificate} if entry.key is None else {"primary_key": entry.key}
            self._client.ask("PUT", "enrollments", "individual", entry.device, body=document)

    def trust(self, name: str, authority: str) -> None:
        """Welcome devices whose certificate was signed by `authority`, PEM."""
        self._client.ask("PUT", "authorities", name, body={"pem": authority})

    def group_key(self, name: str) -> str:
        """Return the primary key of a DPS group, which is made if it is not there."""
        return str(self._client.ask("PUT", "enrollments", "group", name, body={})["primary_key"])

    def key(self, device: str) -> str:
        """Return the primary key of `device`, which is made if it is not there."""
        found = self.enrol(device)["authentication"]["symmetricKey"]["primaryKey"]
        if not found:
            raise UserError(f"the local hub knows {device} by a certificate, not by a key: choose another name")
        return str(found)
