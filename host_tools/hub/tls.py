"""TLS as IoT Hub has it: a client certificate is asked for, may be absent, and is judged at CONNECT.

What the hub accepts are thumbprints and authorities from its own registry, of which OpenSSL knows nothing. Python's
`ssl` can only refuse a certificate that it cannot verify, before anybody has seen it, so that OpenSSL's own
hook is set (SSL_CTX_set_cert_verify_callback(3)). The proof that the peer has the key stays OpenSSL's.
"""

from __future__ import annotations

import _ssl
import ctypes
import logging
import ssl
import sys
from pathlib import Path
from typing import Any, Final

log = logging.getLogger("fieldpost.hub")

_VERIFY_PEER: Final = 1  # SSL_VERIFY_PEER in openssl/ssl.h
# A chain longer than this is nobody's; every certificate of it costs a signature to verify.
CHAIN_MAX: Final = 8

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


@_Callback
def _take_any(_store_context: int | None, _argument: int | None) -> int:
    return 1


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a context for the listener. TLS 1.2 stays: boards and the Python SDK speak nothing newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    _ask_for_client_certificate(context)
    return context


def peer_chain(ssl_object: Any) -> list[bytes]:
    """Return the certificates (DER) that the peer showed, its own first; empty if it showed none."""
    if ssl_object is None or ssl_object.getpeercert(binary_form=True) is None:
        return []
    # Public from Python 3.13 on.
    source = ssl_object if hasattr(ssl_object, "get_unverified_chain") else ssl_object._sslobj
    chain = source.get_unverified_chain() or []
    return [item if isinstance(item, bytes) else item.public_bytes(_ssl.ENCODING_DER) for item in chain[:CHAIN_MAX]]


def _ask_for_client_certificate(context: ssl.SSLContext) -> None:
    """Ask, and take any. Without CPython's layout the hub goes on, and knows devices by their keys only."""
    if sys.implementation.name != "cpython":
        log.warning("no X.509 devices on %s: use CPython for them", sys.implementation.name)
        return
    library = _openssl()
    # PySSLContext in CPython's Modules/_ssl.c begins with the object's head, then SSL_CTX *ctx.
    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    context.verify_mode = ssl.CERT_OPTIONAL
    library.SSL_CTX_get_verify_mode.argtypes = [ctypes.c_void_p]
    assert library.SSL_CTX_get_verify_mode(pointer) == _VERIFY_PEER, "not the layout that this module knows"
    library.SSL_CTX_set_cert_verify_callback.argtypes = [ctypes.c_void_p, _Callback, ctypes.c_void_p]
    library.SSL_CTX_set_cert_verify_callback(pointer, _take_any, None)


def _openssl() -> ctypes.CDLL:
    """Return the library that `ssl` itself uses: through its extension module, or inside the interpreter."""
    file = getattr(_ssl, "__file__", None)
    return ctypes.CDLL(file)
