"""Whether the certificate that a device showed makes it the device that it says it is.

Microsoft, "Authenticate identities with X.509 certificates": a self-signed certificate is known by its SHA-1 or
SHA-256 thumbprint; a certificate signed by an authority that the hub knows has the device id as its common name.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID


class CertificateRefused(Exception):
    """The certificate does not open what it is shown for; the text says why, for the log."""


def check_thumbprint(chain: list[bytes], thumbprints: Iterable[str], now_s: float) -> float:
    """Return the expiry (Unix seconds) of a certificate with one of these thumbprints (upper-case hex)."""
    certificate = _leaf(chain, now_s)
    found = [hashlib.sha1(chain[0]).hexdigest().upper(), hashlib.sha256(chain[0]).hexdigest().upper()]
    known = [thumbprint for thumbprint in thumbprints if thumbprint]
    if not any(hmac.compare_digest(one, other) for one in found for other in known):
        raise CertificateRefused(f"thumbprint {found[1]} is not the device's")
    return certificate.not_valid_after_utc.timestamp()


def check_authority(chain: list[bytes], authorities: Iterable[str], common_name: str, now_s: float) -> float:
    """Return the expiry (Unix seconds) of a certificate that one of these authorities (PEM) vouches for."""
    leaf = _leaf(chain, now_s)
    check_common_name(chain, common_name)
    roots = [x509.load_pem_x509_certificate(pem.encode()) for pem in authorities]
    between = [_parsed(der) for der in chain[1:]]
    current, expires_s = leaf, leaf.not_valid_after_utc.timestamp()
    for _ in range(len(between) + 1):
        root = next((root for root in roots if _issued(root, current, now_s)), None)
        if root is not None:
            return min(expires_s, root.not_valid_after_utc.timestamp())
        issuer = next((candidate for candidate in between if _issued(candidate, current, now_s)), None)
        if issuer is None:
            break
        between.remove(issuer)
        current, expires_s = issuer, min(expires_s, issuer.not_valid_after_utc.timestamp())
    raise CertificateRefused("no authority that the hub knows has signed it")


def check_common_name(chain: list[bytes], common_name: str) -> None:
    """Raise CertificateRefused unless the certificate is of that common name and no other."""
    attributes = _parsed(chain[0]).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    names = [str(attribute.value) for attribute in attributes]
    if names != [common_name]:
        raise CertificateRefused(f"common name {', '.join(names)!r} is not {common_name!r}")


def _leaf(chain: list[bytes], now_s: float) -> x509.Certificate:
    if not chain:
        raise CertificateRefused("no certificate was shown")
    certificate = _parsed(chain[0])
    if not _is_in_time(certificate, now_s):
        raise CertificateRefused("the certificate has expired, or is not valid yet")
    return certificate


def _parsed(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise CertificateRefused(f"a certificate cannot be read: {error}") from error


def _issued(issuer: x509.Certificate, certificate: x509.Certificate, now_s: float) -> bool:
    try:
        is_authority = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        certificate.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError):
        return False
    return is_authority and _is_in_time(issuer, now_s)


def _is_in_time(certificate: x509.Certificate, now_s: float) -> bool:
    now = datetime.datetime.fromtimestamp(now_s, datetime.UTC)
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
