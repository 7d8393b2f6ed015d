"""Certificates as a factory gives them to devices, made with `cryptography`."""

import datetime
import hashlib
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PEM = serialization.Encoding.PEM


class Authority:
    """A certificate with its key; `chain` is what is shown with it, itself first."""

    def __init__(self, name, issuer=None, is_authority=True, days=30):
        now = datetime.datetime.now(datetime.UTC)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name((issuer or self).subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=60))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        self.certificate = builder.sign((issuer or self).key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(_PEM).decode()
        self.der = self.certificate.public_bytes(serialization.Encoding.DER)
        # A root is not shown: whoever trusts it has it.
        self.chain = [self] + [one for one in (issuer.chain if issuer else []) if one.subject != one.issuer]
        self.issuer = (issuer or self).subject

    def between(self, name):
        return Authority(name, self)

    def device(self, name, **keys):
        return Authority(name, self, is_authority=False, **keys)

    def files(self, directory):
        """Write and return (certificate chain, key)."""
        certificate, key = directory / "device.pem", directory / "device.key"
        certificate.write_text("".join(one.pem for one in self.chain))
        key.write_bytes(self.key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return certificate, key


def thumbprint(certificate_file, algorithm=hashlib.sha256):
    return algorithm(ssl.PEM_cert_to_DER_cert(certificate_file.read_text())).hexdigest()
