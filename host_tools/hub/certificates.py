"""The hub's own certification authority and server certificate, made on first use.

EC P-256 throughout: small enough for boards, and what the vendors' SDKs accept. Keys are files of mode 0600.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from host_tools.errors import UserError
from host_tools.hub import tls

_CA_DAYS = 3650
_SERVER_DAYS = 397
_RENEW_DAYS = 30
HOSTNAME = "localhost"
_NAMES_ALWAYS = (HOSTNAME, "127.0.0.1")


class Certificates:
    """Files in `directory`: ca.pem, ca.key, server.pem, server.key. Made or renewed where needed."""

    def __init__(self, directory: Path, names: Sequence[str] = ()) -> None:
        """names: host names and addresses that clients will use, besides localhost.

        UserError if the directory cannot be used or a file in it is no certificate or key; nothing is replaced.
        """
        self._directory = directory
        self._names = list(dict.fromkeys([*_NAMES_ALWAYS, *names]))
        now = datetime.datetime.now(datetime.UTC)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"the hub cannot use the folder {directory}: {error.strerror}; choose another") from error
        try:
            if not self._is_good("ca", "ca", now + datetime.timedelta(days=_SERVER_DAYS)):
                self._make_ca(now)
            is_good = self._is_good("server", "ca", now + datetime.timedelta(days=_RENEW_DAYS))
            if not is_good or not self._is_for_names():
                self._make_server(now)
        except OSError as error:
            raise UserError(
                f"the hub cannot use {error.filename or directory}: {error.strerror}; make room, or choose another"
            ) from error
        except ValueError as error:
            raise UserError(
                f"the hub cannot use the certificates in {directory}: {error}; "
                "move ca.* and server.* away (boards must then be flashed anew), or choose another folder"
            ) from error

    @property
    def ca_pem(self) -> str:
        """The root that clients must trust, PEM."""
        return (self._directory / "ca.pem").read_text()

    @property
    def ca_file(self) -> Path:
        """Where that is."""
        return self._directory / "ca.pem"

    @property
    def ca_der(self) -> bytes:
        """The root that clients must trust, DER."""
        return ssl.PEM_cert_to_DER_cert(self.ca_pem)

    def server_context(self) -> ssl.SSLContext:
        """A context for the listener."""
        return tls.server_context(self._directory / "server.pem", self._directory / "server.key")

    def _make_ca(self, now: datetime.datetime) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fieldpost local hub CA")])
        builder = _builder(name, name, key.public_key(), now, _CA_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        builder = builder.add_extension(_key_usage(key_cert_sign=True), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        self._write("ca", key, builder.sign(key, hashes.SHA256()))

    def _make_server(self, now: datetime.datetime) -> None:
        issuer_key = serialization.load_pem_private_key((self._directory / "ca.key").read_bytes(), None)
        assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
        issuer = x509.load_pem_x509_certificate((self._directory / "ca.pem").read_bytes())
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOSTNAME)])
        builder = _builder(name, issuer.subject, key.public_key(), now, _SERVER_DAYS)
        names = x509.SubjectAlternativeName([_general_name(name) for name in self._names])
        builder = builder.add_extension(names, critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(key_cert_sign=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        # RFC 5280 section 4.2.1.1; Python 3.13 and newer refuse a server without it.
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = builder.add_extension(signer, critical=False)
        self._write("server", key, builder.sign(issuer_key, hashes.SHA256()))

    def _is_good(self, stem: str, issuer: str, moment: datetime.datetime) -> bool:
        """Whether certificate and key are there, belong together, and are good until `moment`.

        A pair that does not belong together was left by a crash between the two files.
        """
        paths = [self._directory / name for name in (f"{stem}.pem", f"{stem}.key", f"{issuer}.pem")]
        if not all(path.exists() for path in paths):
            return False
        certificate_pem, key_pem, issuer_pem = (path.read_bytes() for path in paths)
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        key = serialization.load_pem_private_key(key_pem, None)
        try:
            certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(issuer_pem))
        except InvalidSignature:
            return False
        return certificate.not_valid_after_utc > moment and certificate.public_key() == key.public_key()

    def _is_for_names(self) -> bool:
        certificate = x509.load_pem_x509_certificate((self._directory / "server.pem").read_bytes())
        try:
            held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)  # older ones lack it
        except x509.ExtensionNotFound:
            return False
        return {_general_name(name) for name in self._names} <= set(held)

    def _write(self, stem: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._replace(f"{stem}.key", pem, 0o600)
        self._replace(f"{stem}.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644)

    def _replace(self, name: str, data: bytes, mode: int) -> None:
        """Each file is whole or as it was, and never readable by more than `mode`."""
        new = self._directory / f"{name}.new"
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._directory / name)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        # Boards whose clock is a little behind must accept it too.
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _key_usage(key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        encipher_only=False,
        decipher_only=False,
    )
