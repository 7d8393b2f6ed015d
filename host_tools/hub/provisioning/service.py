"""Assigns devices to this hub: checks who they are, makes their identities, tells how far that is.

register --> assigning, retry-after --(assigning_s)--> assigned or failed
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from host_tools.errors import UserError
from host_tools.hub import sas
from host_tools.hub.devices.client_certificate import CertificateRefused
from host_tools.hub.devices.merge_patch import DocumentRefused, Json
from host_tools.hub.devices.registry import SAS, SELF_SIGNED, DeviceRegistry
from host_tools.hub.devices.twins import iso_time
from host_tools.hub.provisioning.enrollments import Enrollment, Enrollments
from host_tools.hub.store.settings import Settings

# Old operations make room for new ones: a device asks for its own within seconds.
OPERATIONS_MAX: Final = 10_000
# Microsoft, "Device Provisioning Service", custom allocation: the code of an allocation that failed.
_ALLOCATION_FAILED: Final = 400207


class ProvisioningRefused(Exception):
    """The device is refused: `status` and `code` for it, the text for the log."""

    def __init__(self, status: int, code: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class _Operation:
    registration_id: str
    ready_s: float
    state: Json


class Provisioning:
    """hostname: what assigned devices connect to; first_twin(device_id, tags, desired): sets a new device's twin.

    assigning_s: how long an assignment takes, so that devices learn to wait; told to them as retry-after.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        devices: DeviceRegistry,
        hostname: str,
        now_s: Callable[[], float],
        first_twin: Callable[[str, Json, Json], None],
        assigning_s: float = 1.0,
    ) -> None:
        self._connection = connection
        self._devices = devices
        self._hostname = hostname
        self._now_s = now_s
        self._first_twin = first_twin
        self._assigning_s = assigning_s
        self._operations: dict[str, _Operation] = {}
        self.enrollments = Enrollments(connection)
        self.id_scope = Settings(connection).get_or_make("id_scope", lambda: f"0ne{secrets.token_hex(4).upper()}")

    @property
    def retry_after_s(self) -> int:
        """What a device is told to wait."""
        return max(1, round(self._assigning_s))

    def authenticate(self, scope_id: str, registration_id: str, token: str, chain: list[bytes]) -> Enrollment:
        """Return the enrollment that the device belongs to; raises ProvisioningRefused."""
        if scope_id != self.id_scope:
            raise ProvisioningRefused(401, 401002, f"id scope {scope_id!r} is not {self.id_scope}")
        reasons = []
        for enrollment in self.enrollments.of(registration_id):
            try:
                enrollment.check(registration_id, scope_id, token, chain, self._now_s())
            except (sas.SasRefused, CertificateRefused) as error:
                reasons.append(f"{enrollment.id}: {error}")
            else:
                return enrollment
        why = "; ".join(reasons)[:300] or "no enrollment for it"
        raise ProvisioningRefused(401, 401002, f"registration {registration_id!r}: {why}")

    def register(self, enrollment: Enrollment, registration_id: str, chain: list[bytes]) -> str:
        """Begin an assignment and return its operation id."""
        operation_id = f"5.{secrets.token_hex(8)}.{uuid.uuid4()}"
        while len(self._operations) >= OPERATIONS_MAX:
            del self._operations[next(iter(self._operations))]
        state = self._assign(enrollment, registration_id, chain)
        self._operations[operation_id] = _Operation(registration_id, self._now_s() + self._assigning_s, state)
        return operation_id

    def status(self, operation_id: str, registration_id: str) -> tuple[int, Json]:
        """Return (status, document) of an operation: 202 while it goes on, then 200; raises ProvisioningRefused."""
        operation = self._operations.get(operation_id)
        if operation is None or operation.registration_id != registration_id:
            raise ProvisioningRefused(404, 404203, f"no operation {operation_id[:100]!r}: register again")
        if self._now_s() < operation.ready_s:
            return 202, {"operationId": operation_id, "status": "assigning"}
        status = operation.state["status"]
        return 200, {"operationId": operation_id, "status": status, "registrationState": operation.state}

    def _assign(self, enrollment: Enrollment, registration_id: str, chain: list[bytes]) -> Json:
        """Make or renew the identity and return the registration state."""
        now = iso_time(self._now_s())
        known = self._known(registration_id)
        state: Json = {
            "registrationId": registration_id,
            "createdDateTimeUtc": known.get("createdDateTimeUtc", now),
            "lastUpdatedDateTimeUtc": now,
            "etag": secrets.token_hex(8),
        }
        if not enrollment.is_enabled:
            return {**state, "status": "disabled"}
        failure = enrollment.failure or self._make_device(enrollment, registration_id, chain)
        if failure:
            return {**state, "status": "failed", "errorCode": _ALLOCATION_FAILED, "errorMessage": failure}
        attested = "x509" if enrollment.certificate else "symmetricKey"
        state |= {
            "assignedHub": self._hostname,
            "deviceId": enrollment.device_id or registration_id,
            "status": "assigned",
            "substatus": "reprovisionedToInitialAssignment" if known else "initialAssignment",
            attested: {},
        }
        if enrollment.payload is not None:
            state["payload"] = enrollment.payload
        self._connection.execute(
            "INSERT OR REPLACE INTO registrations VALUES (?, ?)", (registration_id, json.dumps(state))
        )
        return state

    def _known(self, registration_id: str) -> dict[str, Any]:
        row = self._connection.execute("SELECT document FROM registrations WHERE id = ?", (registration_id,)).fetchone()
        return dict(json.loads(row[0])) if row else {}

    def _make_device(self, enrollment: Enrollment, registration_id: str, chain: list[bytes]) -> str:
        """Return why it cannot be made, or nothing."""
        device_id = enrollment.device_id or registration_id
        is_new = self._devices.get(device_id) is None
        if enrollment.certificate:
            thumbprint = hashlib.sha256(chain[0]).hexdigest()
            attributes = {"authentication": SELF_SIGNED, "primary_thumbprint": thumbprint}
        else:
            primary, *secondary = enrollment.keys(registration_id)
            attributes = {"authentication": SAS, "primary_key": primary, "secondary_key": (secondary or [primary])[0]}
        try:
            if is_new:
                self._devices.create(device_id, **attributes)
                if enrollment.tags or enrollment.desired:
                    self._first_twin(device_id, enrollment.tags, enrollment.desired)
            else:
                self._devices.update(device_id, **attributes)
        except (UserError, DocumentRefused) as error:
            return str(error)
        return ""
