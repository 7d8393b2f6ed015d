"""The shared access policies of the hub, and who may do what with them.

Microsoft, "Control access to IoT Hub with shared access signatures": the policies that every hub comes with.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable
from typing import Final

from host_tools.hub import sas
from host_tools.hub.store.settings import Settings

# Policy: the permissions that it gives.
_POLICIES: Final = {
    "iothubowner": {"RegistryRead", "RegistryWrite", "ServiceConnect", "DeviceConnect"},
    "service": {"ServiceConnect"},
    "device": {"DeviceConnect"},
    "registryRead": {"RegistryRead"},
    "registryReadWrite": {"RegistryRead", "RegistryWrite"},
}
_POLICY_NAME: Final = re.compile(r"&skn=([A-Za-z]+)(?:&|$)")
_SCOPE: Final = re.compile(r"(?:^|[ &])sr=([^&]*)")


class Policies:
    """names: the hosts that a token may be signed for, in lower case; a port behind them does not matter."""

    def __init__(self, settings: Settings, names: Callable[[], set[str]], now_s: Callable[[], float]) -> None:
        self._names = names
        self._now_s = now_s
        self._keys = {
            name: [settings.get_or_make(f"policy.{name}.{which}", _new_key) for which in ("primary", "secondary")]
            for name in _POLICIES
        }

    def connection_string(self, host: str, policy: str = "iothubowner") -> str:
        """What a service needs to know."""
        return f"HostName={host};SharedAccessKeyName={policy};SharedAccessKey={self._keys[policy][0]}"

    def events_connection_string(self, host: str, policy: str = "service") -> str:
        """What a reader of the built-in events endpoint needs to know."""
        endpoint = f"Endpoint=sb://{host}/;SharedAccessKeyName={policy}"
        return f"{endpoint};SharedAccessKey={self._keys[policy][0]};EntityPath=events"

    def primary_key(self, policy: str = "iothubowner") -> str:
        """The first key of a policy."""
        return self._keys[policy][0]

    def check(self, token: str, permission: str) -> float:
        """Return until when (Unix seconds) the token gives the permission; raises SasRefused if it does not."""
        policy = _policy(token)
        if permission not in _POLICIES[policy]:
            raise sas.SasRefused(f"policy {policy} does not give {permission}")
        return self._check(token, policy)

    def is_known(self, token: str) -> bool:
        """Whether the token is a good one of any policy."""
        try:
            self._check(token, _policy(token))
        except sas.SasRefused:
            return False
        return True

    def _check(self, token: str, policy: str) -> float:
        scope = _SCOPE.search(token)
        resource = sas.resource(scope[1]) if scope else ""
        host = resource.partition("/")[0].rpartition(":")[0] or resource.partition("/")[0]
        if host.lower() not in self._names():
            raise sas.SasRefused(f"token is for {host!r}, not for this hub")
        return sas.check(token, self._keys[policy], resource, self._now_s())


def _policy(token: str) -> str:
    found = _POLICY_NAME.search(token)
    if found is None or found[1] not in _POLICIES:
        raise sas.SasRefused("skn names no policy of this hub")
    return found[1]


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
