"""The identity.json of a device: what it proves itself by, and what it trusts. The same JSON lies on the board."""

import base64
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from fieldpost.limits import CA_BYTES_MAX, ROOTS_MAX

from host_tools.errors import UserError
from host_tools.provision.inventory import CERTIFICATE, Entry

_BEGIN = "-----BEGIN CERTIFICATE-----"
_END = "-----END CERTIFICATE-----"


def identity(entry: Entry, roots: Sequence[bytes], wifi_passwords: Mapping[str, str]) -> dict[str, Any]:
    """Return the identity.json of a device of the inventory. roots: those that it is to trust, DER."""
    who: dict[str, Any] = {"device_id": entry.device, "wifi_passwords": dict(wifi_passwords)}
    if entry.key is not None:
        who["key"] = entry.key
    elif entry.auth == CERTIFICATE:
        who |= _certificate(entry)
    if roots:
        who["ca_der"] = [_base64(root) for root in roots]
    return who


def root_certificates(pem: Path) -> list[bytes]:
    """Return the certificates in a PEM file, each DER. UserError if there is none, or more than a board can hold."""
    try:
        text = pem.read_text(encoding="ascii")
        found = [ssl.PEM_cert_to_DER_cert(_BEGIN + part.split(_END)[0] + _END) for part in text.split(_BEGIN)[1:]]
    except (OSError, ValueError) as error:
        raise UserError(f"{pem} holds no certificate in PEM: {error}") from error
    if not found:
        raise UserError(f"{pem} holds no certificate in PEM: it needs text from {_BEGIN} to {_END}")
    if len(found) > ROOTS_MAX:
        raise UserError(
            f"{pem} holds {len(found)} certificates, and a board has room for {ROOTS_MAX}: choose among them"
        )
    for der in found:
        if len(der) > CA_BYTES_MAX:
            raise UserError(f"{pem} holds a certificate of {len(der)} bytes, and a board takes {CA_BYTES_MAX}")
    return found


def check_pair(certificate: bytes, private_key: bytes) -> None:
    """Raise ValueError unless these are a certificate and its key (DER, PKCS #8), in what boards can use.

    MicroPython's builds of Mbed TLS know RSA and the curves P-256 and P-384 on every board.
    """
    found = x509.load_der_x509_certificate(certificate)
    key = serialization.load_der_private_key(private_key, None)
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) != found.public_key().public_bytes(*form):
        raise ValueError("private_key is not the key of certificate")


def _certificate(entry: Entry) -> dict[str, str]:
    assert entry.certificate is not None and entry.private_key is not None
    key = serialization.load_pem_private_key(entry.private_key.encode(), None)
    form = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return {
        "certificate": _base64(ssl.PEM_cert_to_DER_cert(entry.certificate)),
        "private_key": _base64(key.private_bytes(*form)),
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
