"""A hub's registry over its HTTPS service API: Azure's, or the local hub's, which answers the same.

Sources: Microsoft, "Control access to IoT Hub with SAS tokens" (service side); REST reference of IoT Hub 2021-04-12.
"""

import base64
import hashlib
import hmac
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from host_tools.errors import UserError
from host_tools.provision.documents import HUB_API, registry_requests
from host_tools.provision.inventory import Entry

ENVIRONMENT = "FIELDPOST_HUB_CONNECTION_STRING"
_TOKEN_S = 600
_TIMEOUT_S = 30


class Registry:
    """The registry that a service connection string opens. UserError if it is none; it is never shown.

    root: PEM file of the root certificate, if the system does not have it. port: other than 443.
    """

    def __init__(self, connection_string: str, root: Path | None = None, port: int | None = None) -> None:
        try:
            fields = dict(part.split("=", 1) for part in connection_string.strip().split(";"))
            self.host = fields["HostName"]
            self._policy = fields["SharedAccessKeyName"]
            self._key = base64.b64decode(fields["SharedAccessKey"], validate=True)
        except (ValueError, KeyError):
            raise UserError(
                f"{ENVIRONMENT} is no service connection string: "
                "expected HostName=...;SharedAccessKeyName=...;SharedAccessKey=..."
            ) from None
        self._address = self.host if port is None else f"{self.host}:{port}"
        try:
            self._context = ssl.create_default_context(cafile=root)
        except (OSError, ssl.SSLError) as error:
            raise UserError(f"cannot use the root certificate {root}: {error}") from error

    def put(self, entries: Sequence[Entry]) -> None:
        """Make the devices known, or update them. UserError says what the hub refused."""
        for devices in registry_requests(entries):
            answer = self._ask("POST", "/devices", devices)
            if isinstance(answer, dict) and not answer.get("isSuccessful", True):
                first = (answer.get("errors") or [{}])[0]
                raise UserError(f"{self.host} refused {first.get('deviceId')}: {first.get('errorStatus')}")

    def request(self, method: str, path: str, body: Any = None, timeout_s: float = _TIMEOUT_S) -> tuple[int, Any]:
        """Return status and JSON of the answer; None stands for a body that is none. UserError if none comes."""
        request = urllib.request.Request(
            f"https://{self._address}{path}?api-version={HUB_API}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": self._token(), "Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout_s, context=self._context) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            try:
                return error.code, json.loads(error.read())
            except ValueError:
                return error.code, None
        except (OSError, ValueError) as error:
            raise UserError(f"cannot reach {self.host}: {getattr(error, 'reason', None) or error}") from error

    def check(self, status: int) -> None:
        """Raise UserError for a status that says no."""
        if status >= 400:
            raise UserError(f"{self.host} answered {status}: check the policy's rights and its key")

    def _ask(self, method: str, path: str, body: Any) -> Any:
        status, answer = self.request(method, path, body)
        if status != 400 or answer is None:
            self.check(status)
        return answer

    def _token(self) -> str:
        resource = urllib.parse.quote(self.host, safe="")
        expiry = int(time.time()) + _TOKEN_S
        signature = base64.b64encode(hmac.digest(self._key, f"{resource}\n{expiry}".encode(), hashlib.sha256))
        signed = urllib.parse.quote(signature, safe="")
        return f"SharedAccessSignature sr={resource}&sig={signed}&se={expiry}&skn={self._policy}"
