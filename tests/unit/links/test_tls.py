"""What every TLS context of the device has in common, on both interpreters."""

from fieldpost.compat import is_micropython
from fieldpost.links import tls
from support import raises

if is_micropython:
    from tls import CERT_REQUIRED
else:
    from ssl import CERT_REQUIRED


def test_whoever_is_on_the_other_side_must_prove_it():
    context = tls.client_context(())
    assert context.verify_mode == CERT_REQUIRED


def test_what_is_no_certificate_is_refused():
    for roots, certificate, key in (((b"no certificate",), None, None), ((), b"no certificate", b"no key")):
        with raises(ValueError):
            tls.client_context(roots, certificate, key)
