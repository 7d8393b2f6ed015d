"""Certificates, good and bad, a real Mosquitto behind TLS, and the runner of devices."""

import base64
import contextlib
import datetime
import os
import socket
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.contract.links import Runner
from tests.contract.scripted_peer import server_context
from tests.ports import free_port

_PEM = serialization.Encoding.PEM


class Authority:
    """A root, and server certificates below it. ca: the root, base64 DER."""

    def __init__(self, folder):
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "contract root")])
        root = self._built(self._name, self._key, -365, 365, x509.BasicConstraints(ca=True, path_length=None))
        self.ca = base64.b64encode(root.public_bytes(serialization.Encoding.DER)).decode()
        self.ca_file = folder / "root.pem"
        self.ca_file.write_bytes(root.public_bytes(_PEM))

    def server(self, host="localhost", begin_days=-30, end_days=30):
        """Return (certificate, key) paths of a server of that name, valid between these days from now."""
        stem = self._folder / f"{host}{begin_days}{end_days}"
        if not stem.with_suffix(".pem").exists():
            key = ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
            names = x509.SubjectAlternativeName([x509.DNSName(host)])
            certificate = self._built(name, key, begin_days, end_days, names)
            stem.with_suffix(".key").write_bytes(
                key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            )
            stem.with_suffix(".pem").write_bytes(certificate.public_bytes(_PEM))
        return stem.with_suffix(".pem"), stem.with_suffix(".key")

    def context(self, **keys):
        """Return a server's TLS context; see `server`."""
        return server_context(*self.server(**keys))

    def _built(self, name, key, begin_days, end_days, extension):
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=begin_days))
            .not_valid_after(now + datetime.timedelta(days=end_days))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        )
        return builder.sign(self._key, hashes.SHA256())


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def runner(micropython, tmp_path):
    return Runner(micropython, tmp_path)


class Mosquitto:
    """Ports: tls for devices, websockets for devices that frame, plain for whoever looks at what arrived."""

    def __init__(self, tls, websockets, plain):
        self.tls = tls
        self.websockets = websockets
        self.plain = plain


@pytest.fixture(scope="session")
def broker(mosquitto, authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mosquitto")
    ports = [free_port() for _ in range(3)]
    certificate, key = authority.server()
    secure = f"cafile {authority.ca_file}\ncertfile {certificate}\nkeyfile {key}\nallow_anonymous true\n"
    user = f"user {os.environ.get('USER') or 'root'}\n" if os.geteuid() == 0 else ""
    settings = folder / "mosquitto.conf"
    settings.write_text(
        f"per_listener_settings true\n{user}persistence false\nlog_type error\nmax_inflight_messages 0\n"
        f"listener {ports[0]} 127.0.0.1\n{secure}"
        f"listener {ports[1]} 127.0.0.1\nprotocol websockets\n{secure}"
        f"listener {ports[2]} 127.0.0.1\nallow_anonymous true\n"
    )
    process = subprocess.Popen([mosquitto, "-c", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for port in ports:
            _wait_for(port, process)
        yield Mosquitto(*ports)
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(port, process):
    for _ in range(2400):
        assert process.poll() is None, "mosquitto did not start"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError("mosquitto does not listen")
