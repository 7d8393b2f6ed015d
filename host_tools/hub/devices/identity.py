"""From the fields of a CONNECT to a device, or to the return code that refuses it.

Microsoft publishes no table of CONNACK codes for MQTT 3.1.1; these are the ones its SDKs react to as to the
real hub: 1 and 2 fatal, 3 for later, 4 for what cannot be parsed, 5 for every refusal of a credential.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from host_tools.hub import sas
from host_tools.hub.devices import client_certificate, registry
from host_tools.hub.devices.authorities import Authorities
from host_tools.hub.devices.registry import Device, DeviceRegistry
from host_tools.hub.mqtt import codec

ACCEPTED: Final = 0
WRONG_PROTOCOL: Final = 1
WRONG_CLIENT_ID: Final = 2
UNAVAILABLE: Final = 3
MALFORMED_CREDENTIALS: Final = 4
NOT_AUTHORISED: Final = 5


class Refused(Exception):
    """Why a CONNECT is refused: CONNACK `code` for the device, the text for the log."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Admission:
    """A device that may come in, and until when its token or certificate is good (Unix seconds)."""

    device: Device
    expires_s: float


def admit(
    connect: codec.Connect,
    devices: DeviceRegistry,
    authorities: Authorities,
    chain: list[bytes],
    now_s: float,
    grace_s: float = 0,
) -> Admission:
    """Check a CONNECT as IoT Hub does; raises Refused.

    chain: the certificates (DER) that the peer showed, its own first. grace_s: how long a token is good after it
    has expired.
    """
    if connect.protocol_level != 4:
        raise Refused(WRONG_PROTOCOL, f"protocol level {connect.protocol_level}, only 4 (MQTT 3.1.1) is spoken")
    host, device_id = _user_name(connect.user_name)
    if connect.client_id != device_id:
        raise Refused(WRONG_CLIENT_ID, f"client id {connect.client_id!r} is not the device of the user name")
    device = devices.get(device_id)
    if device is None or not device.is_enabled:
        raise Refused(NOT_AUTHORISED, f"device {device_id!r} is unknown or disabled")
    try:
        if device.authentication == registry.SAS:
            token = (connect.password or b"").decode()
            keys = [device.primary_key, device.secondary_key]
            expires_s = sas.check(token, keys, f"{host}/devices/{device_id}", now_s - grace_s) + grace_s
        elif device.authentication == registry.SELF_SIGNED:
            thumbprints = (device.primary_thumbprint, device.secondary_thumbprint)
            expires_s = client_certificate.check_thumbprint(chain, thumbprints, now_s)
        else:
            expires_s = client_certificate.check_authority(chain, authorities.pems(), device_id, now_s)
    except (sas.SasRefused, client_certificate.CertificateRefused, UnicodeDecodeError) as error:
        raise Refused(NOT_AUTHORISED, f"device {device_id!r}: {error}") from error
    return Admission(device, expires_s)


def _user_name(user_name: str | None) -> tuple[str, str]:
    """Return (host, device id) of `host/device/?api-version=...`, with or without the question mark.

    Any host will do, as long as the token is signed for it: behind a gateway name, a device keeps the name of its
    real hub in both.
    """
    host, _, rest = (user_name or "").partition("/")
    device_id, _, query = rest.partition("/")
    parameters = dict(parse_qsl(query.removeprefix("?")))
    if not host or not device_id or "api-version" not in parameters:
        raise Refused(MALFORMED_CREDENTIALS, "user name is not host/device/?api-version=...")
    return host, device_id
