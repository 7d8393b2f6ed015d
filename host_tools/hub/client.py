"""Asks a running hub for something, from another process: the other side of service/admin.py."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from host_tools.errors import UserError
from host_tools.hub.service.api_file import FILE_NAME

_TIMEOUT_S = 30.0


class Refused(UserError):
    """The hub said no; `answer` is what it said, `status` its HTTP status."""

    def __init__(self, status: int, answer: dict[str, Any]) -> None:
        super().__init__(str(answer.get("message", f"the hub answered {status}")))
        self.status = status
        self.answer = answer


class HubClient:
    """directory: the folder of a hub that runs on this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def is_running(self) -> bool:
        """Whether a hub answers there."""
        try:
            self.ask("GET", "hub")
        except UserError:
            return False
        return True

    def page_address(self) -> str:
        """Return where a browser finds the hub's page, with the token behind a #, which is sent to nobody."""
        self.ask("GET", "hub")  # or no hub runs
        url, token = self._where()
        return f"{url}/#token={token}"

    def ask(
        self,
        method: str,
        *path: str,
        body: Any = None,
        query: dict[str, Any] | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> Any:
        """Return the JSON of the answer, None if it has none. UserError if no hub runs; Refused if it says no."""
        url, token = self._where()
        address = urlsplit(url)
        target = "/" + "/".join(quote(part, safe="") for part in path) + (f"?{urlencode(query)}" if query else "")
        connection = http.client.HTTPConnection(address.hostname or "", address.port or 0, timeout=timeout_s)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, target, data, {"Authorization": f"Bearer {token}"})
            response = connection.getresponse()
            text = response.read()
        except TimeoutError as error:
            raise UserError(f"the hub in {self._directory} did not answer in {timeout_s:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise UserError(self._not_running()) from error
        finally:
            connection.close()
        answer = json.loads(text) if text else None
        if response.status >= 400:
            raise Refused(response.status, answer if isinstance(answer, dict) else {})
        return answer

    def _where(self) -> tuple[str, str]:
        """Return address and token."""
        try:
            found = json.loads((self._directory / FILE_NAME).read_text())
            return str(found["url"]), str(found["token"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(self._not_running()) from error

    def _not_running(self) -> str:
        return f"no hub runs in {self._directory}: start it with `fieldpost hub run --data {self._directory}`"
