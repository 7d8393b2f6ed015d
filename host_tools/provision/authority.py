"""A certification authority for devices: EC P-256, in a folder that only this user can read.

Source: Microsoft, "Authenticate devices using X.509 CA certificates": a device's common name is its id.
"""

import datetime
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from host_tools.errors import UserError

_CA_DAYS = 3650
_DEVICE_DAYS = 1095
_CLOCK_SLACK = datetime.timedelta(minutes=10)


@dataclass(frozen=True, repr=False)
class Certificate:
    """What a device is known by, PEM. thumbprint: SHA-256 of the DER, upper case hexadecimal."""

    certificate: str
    key: str
    thumbprint: str


class Authority:
    """The authority in `folder` (ca.pem, ca.key), made on first use. UserError if the files cannot be used."""

    def __init__(self, folder: Path, name: str = "fieldpost devices") -> None:
        self.certificate_file = folder / "ca.pem"
        self._key_file = folder / "ca.key"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.certificate_file.exists() and not self._key_file.exists():
                self._make(name)
            self._certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
            key = serialization.load_pem_private_key(self._key_file.read_bytes(), None)
        except (OSError, ValueError) as error:
            raise UserError(f"cannot use the certification authority in {folder}: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != self._certificate.public_key():
            raise UserError(f"{self._key_file} is not the key of {self.certificate_file}: put the right one back")
        self._key = key

    @property
    def pem(self) -> str:
        """Its certificate."""
        return self.certificate_file.read_text(encoding="ascii")

    def issue(self, device: str) -> Certificate:
        """Return a new key and certificate for `device`, valid for three years."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(device, self._certificate.subject, key.public_key(), _DEVICE_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(self._signer(), critical=False)
        )
        return _described(builder.sign(self._key, hashes.SHA256()), key)

    def prove(self, code: str) -> str:
        """Return a certificate whose common name is Azure's verification code, signed by the authority, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(code, self._certificate.subject, key.public_key(), 30)
        builder = builder.add_extension(self._signer(), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def _signer(self) -> x509.AuthorityKeyIdentifier:
        """Say whose key signed (RFC 5280 section 4.2.1.1): strict verifiers refuse what does not."""
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())

    def _make(self, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            _builder(name, subject, key.public_key(), _CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_USAGE_CA, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        made = _described(builder.sign(key, hashes.SHA256()), key)
        write_private_file(self._key_file, made.key)
        self.certificate_file.write_text(made.certificate, encoding="ascii")


_USAGE_CA = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def write_private_file(path: Path, text: str) -> None:
    """Make a file that only this user can read; FileExistsError if it is there already."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _builder(name: str, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SLACK)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _described(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Certificate:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Certificate(
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        private.decode(),
        certificate.fingerprint(hashes.SHA256()).hex().upper(),
    )
