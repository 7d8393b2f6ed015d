"""What somebody with rights in Azure needs to make the devices known there: request bodies, and the `az` commands.

The bodies hold keys: they are files that only this user can read, and `az rest` takes them from there, so that no
key appears on a command line.
"""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from host_tools.errors import UserError
from host_tools.provision import documents
from host_tools.provision.authority import write_private_file
from host_tools.provision.inventory import CERTIFICATE, Entry

SCRIPT = "azure.sh"
_HEAD = """\
#!/bin/sh
# Makes the devices known to IoT Hub, or to DPS. Written by `fieldpost provision`; needs `az login` and the role
# "IoT Hub Data Contributor", or for DPS "Device Provisioning Service Data Contributor".
#
#     ./azure.sh hub          the devices, in the hub's registry, if a hub is named
#     ./azure.sh dps NAME     enrolments, in the provisioning service NAME.azure-devices-provisioning.net
set -eu
cd "$(dirname "$0")"
"""


def write(
    folder: Path, hub: str | None, entries: Sequence[Entry], group: tuple[str, str] | None, authority: str | None
) -> Path:
    """Write the files into `folder`, in the place of those that are there, and return the script.

    hub: its host name; None if only the provisioning service is to know the devices. group: name and key of a DPS
    group; authority: PEM of what signed the certificates. UserError if it cannot.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        hub_bodies = _write_bodies(folder, "devices", documents.registry_requests(entries) if hub else [])
        dps_bodies = _write_bodies(folder, "enrollments", documents.enrolment_requests(entries))
        commands: dict[str, list[str]] = {}
        if hub is not None:
            url = f"https://{hub}/devices?api-version={documents.HUB_API}"
            commands["hub"] = [_post(url, one) for one in hub_bodies]
        dps = "https://$2.azure-devices-provisioning.net"
        commands["dps"] = [_post(f"{dps}/enrollments?api-version={documents.DPS_API}", one) for one in dps_bodies]
        if group is not None:
            (body,) = _write_bodies(folder, "group", [documents.group_request(*group)])
            url = f"{dps}/enrollmentGroups/{group[0]}?api-version={documents.DPS_API}"
            commands["dps"].append(_post(url, body, "put"))
        if authority is not None and any(entry.auth == CERTIFICATE for entry in entries):
            (folder / "ca.pem").write_text(authority, encoding="ascii")
            if hub is not None:
                name = shlex.quote(hub.partition(".")[0])
                commands["hub"].insert(
                    0,
                    f"az iot hub certificate create --hub-name {name} --name fieldpost --path ca.pem --verified true",
                )
        script = folder / SCRIPT
        script.write_text(_script(commands), encoding="utf-8")
        script.chmod(0o755)
    except OSError as error:
        raise UserError(f"cannot write into {folder}: {error.strerror}") from error
    return script


def _write_bodies(folder: Path, stem: str, bodies: Sequence[Any]) -> list[str]:
    for old in folder.glob(f"{stem}-*.json"):
        old.unlink()
    names = [f"{stem}-{number}.json" for number in range(1, len(bodies) + 1)]
    for name, body in zip(names, bodies, strict=True):
        write_private_file(folder / name, json.dumps(body, indent=1) + "\n")
    return names


def _post(url: str, body: str, method: str = "post") -> str:
    service = "iothubs.azure.net" if "/devices?" in url else "azure-devices-provisioning.net"
    return f'az rest --method {method} --url "{url}" --resource https://{service} --body @{body}'


def _script(commands: dict[str, list[str]]) -> str:
    arms = [f"{name})\n    " + "\n    ".join(lines or [":"]) + "\n    ;;" for name, lines in commands.items()]
    words = "say hub, or dps NAME" if "hub" in commands else "say dps NAME"
    usage = f'*)\n    echo "{words}" >&2\n    exit 2\n    ;;'
    return _HEAD + 'case "${1:-}" in\n' + "\n".join([*arms, usage]) + "\nesac\n"
