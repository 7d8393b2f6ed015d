"""The hub's certificates: kept while they are good, made anew when they are not, never replaced by guess."""

import datetime
import ssl
import stat

import pytest
from cryptography import x509

from host_tools.errors import UserError
from host_tools.hub import certificates
from host_tools.hub.certificates import Certificates


def serials(directory):
    return [
        x509.load_pem_x509_certificate((directory / name).read_bytes()).serial_number
        for name in ("ca.pem", "server.pem")
    ]


def test_files_are_private_and_the_server_is_named(tmp_path):
    directory = tmp_path / "hub"
    Certificates(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for name in ("ca.key", "server.key"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
    server = x509.load_pem_x509_certificate((directory / "server.pem").read_bytes())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["localhost", "127.0.0.1"]
    assert sorted(path.name for path in directory.iterdir()) == ["ca.key", "ca.pem", "server.key", "server.pem"]


def test_good_certificates_stay(tmp_path):
    Certificates(tmp_path)
    before = serials(tmp_path)
    Certificates(tmp_path)
    assert serials(tmp_path) == before


def test_a_server_certificate_near_its_end_is_renewed_under_the_same_root(tmp_path, monkeypatch):
    monkeypatch.setattr(certificates, "_SERVER_DAYS", 29)
    Certificates(tmp_path)
    monkeypatch.undo()
    before = serials(tmp_path)
    Certificates(tmp_path)
    after = serials(tmp_path)
    assert after[0] == before[0] and after[1] != before[1]
    server = x509.load_pem_x509_certificate((tmp_path / "server.pem").read_bytes())
    assert server.not_valid_after_utc - datetime.datetime.now(datetime.UTC) > datetime.timedelta(days=390)


def test_a_root_near_its_end_is_renewed_with_everything_under_it(tmp_path, monkeypatch):
    monkeypatch.setattr(certificates, "_CA_DAYS", 300)
    Certificates(tmp_path)
    monkeypatch.undo()
    before = serials(tmp_path)
    root = Certificates(tmp_path)
    assert all(new != old for new, old in zip(serials(tmp_path), before, strict=True))
    root.server_context()  # refuses a key that is not the certificate's


@pytest.mark.parametrize("stem", ["ca", "server"])
def test_a_pair_torn_by_a_crash_is_made_anew(tmp_path, stem):
    Certificates(tmp_path)
    Certificates(tmp_path / "other")
    (tmp_path / f"{stem}.key").write_bytes((tmp_path / "other" / f"{stem}.key").read_bytes())
    Certificates(tmp_path).server_context()


@pytest.mark.parametrize("name", ["ca.pem", "ca.key", "server.pem", "server.key"])
def test_a_file_that_is_no_certificate_is_left_alone_and_named(tmp_path, name):
    Certificates(tmp_path)
    (tmp_path / name).write_bytes(b"holiday pictures")
    with pytest.raises(UserError, match="certificates in"):
        Certificates(tmp_path)
    assert (tmp_path / name).read_bytes() == b"holiday pictures"


def test_a_strict_verifier_accepts_the_server(tmp_path):
    """Goal: Python 3.13 and newer, which are strict by default (ssl.VERIFY_X509_STRICT), can talk to the hub."""
    held = Certificates(tmp_path)
    client = ssl.create_default_context(cadata=held.ca_pem)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        held.server_context().wrap_bio(to_server, to_client, server_side=True),
    ]
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                pass
