"""Identities and enrolments as Azure's service APIs want them, for files and for requests alike.

Sources: Microsoft, REST reference of IoT Hub service 2021-04-12 ("Bulk Registry Update Devices") and of the
Device Provisioning Service 2021-10-01 ("Run Bulk Individual Enrollment Operation", "Enrollment Group").
"""

from collections.abc import Sequence
from typing import Any

from host_tools.provision.inventory import CERTIFICATE, Entry
from host_tools.provision.keys import new_key

HUB_API = "2021-04-12"
DPS_API = "2021-10-01"
_HUB_BULK_MAX = 100
_DPS_BULK_MAX = 10


def registry_requests(entries: Sequence[Entry]) -> list[list[dict[str, Any]]]:
    """Return the bodies for POST /devices of a hub: at most 100 devices each; those that are there are updated."""
    devices = [
        {
            "id": entry.device,
            "importMode": "createOrUpdate",
            "status": "enabled",
            "authentication": _authentication(entry),
        }
        for entry in entries
    ]
    return [devices[at : at + _HUB_BULK_MAX] for at in range(0, len(devices), _HUB_BULK_MAX)]


def enrolment_requests(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return the bodies for POST /enrollments of DPS: at most 10 devices each. Devices of a group have none."""
    enrolments = [
        {
            "registrationId": entry.device,
            "deviceId": entry.device,
            "attestation": _attestation(entry),
            "provisioningStatus": "enabled",
        }
        for entry in entries
        if entry.group_name is None
    ]
    pieces = [enrolments[at : at + _DPS_BULK_MAX] for at in range(0, len(enrolments), _DPS_BULK_MAX)]
    return [{"mode": "create", "enrollments": piece} for piece in pieces]


def group_request(name: str, group_key: str) -> dict[str, Any]:
    """Return the body for PUT /enrollmentGroups/NAME of DPS."""
    return {
        "enrollmentGroupId": name,
        "attestation": {"type": "symmetricKey", "symmetricKey": {"primaryKey": group_key, "secondaryKey": new_key()}},
        "provisioningStatus": "enabled",
    }


def _authentication(entry: Entry) -> dict[str, Any]:
    if entry.auth == CERTIFICATE:
        return {"type": "certificateAuthority"}
    return {"type": "sas", "symmetricKey": {"primaryKey": entry.key, "secondaryKey": new_key()}}


def _attestation(entry: Entry) -> dict[str, Any]:
    if entry.auth == CERTIFICATE:
        return {"type": "x509", "x509": {"clientCertificates": {"primary": {"certificate": entry.certificate}}}}
    return {"type": "symmetricKey", "symmetricKey": {"primaryKey": entry.key, "secondaryKey": new_key()}}
