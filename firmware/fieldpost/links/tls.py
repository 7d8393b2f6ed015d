"""TLS streams that never block, on both interpreters, and never without verification.

A stream has write(data) -> bytes taken, or None for "not now, ask again with the same bytes"; read_into(buffer)
-> bytes, None for "nothing yet", 0 for the end; close(); and `pollable`, what to wait for once read_into has
said None. The handshake goes on inside these calls.

`client_context(roots, certificate, private_key)` returns the context of all connections: roots: those to trust,
each DER; certificate, private_key: what the device proves itself by (X.509 and unencrypted PKCS #8, RFC 5208, as
DER), None for a device that has neither. ValueError for what is none.
"""

from fieldpost.compat import is_micropython

if is_micropython:
    import tls

    def client_context(roots, certificate=None, private_key=None):
        """Return a context that trusts these roots and no others."""
        context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        # The frozen `ssl` wrapper defaults to no verification at all; say it, whatever the default is.
        context.verify_mode = tls.CERT_REQUIRED
        for root in roots:  # several in PEM could go in one call; DER, which takes half the memory, cannot
            context.load_verify_locations(root)
        if certificate is not None:
            context.load_cert_chain(certificate, private_key)
        return context

    class Stream:
        """A TLS connection over a connected, non-blocking socket."""

        def __init__(self, context, raw, host):
            self._tls = context.wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False)
            self.pollable = raw  # polling the TLS object costs a wake-up each ms on some ports

        def write(self, data):
            return self._tls.write(data)

        def read_into(self, buffer):
            return self._tls.readinto(buffer)

        def close(self):
            self._tls.close()

else:
    import base64
    import os
    import ssl

    def client_context(roots, certificate=None, private_key=None):
        """Return a context that trusts these roots and no others."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            for root in roots:
                context.load_verify_locations(cadata=bytes(root))
            if certificate is not None:
                _load_identity(context, certificate, private_key)
        except ssl.SSLError as error:
            raise ValueError(error.reason or str(error)) from None
        assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname
        return context

    def _load_identity(context, certificate, private_key):
        """Hand certificate and key to a library that takes nothing but the path of a file.

        The file is one in memory (memfd_create(2)): it has no name, nobody else can open it, and neither a disk nor
        what is left after a crash ever holds the key.
        """
        with os.fdopen(os.memfd_create("identity", os.MFD_CLOEXEC), "wb") as file:
            file.write(ssl.DER_cert_to_PEM_cert(bytes(certificate)).encode())
            file.write(b"-----BEGIN PRIVATE KEY-----\n%s-----END PRIVATE KEY-----\n" % base64.encodebytes(private_key))
            file.flush()
            context.load_cert_chain("/proc/self/fd/%d" % file.fileno())

    class Stream:
        """A TLS connection over a connected, non-blocking socket."""

        def __init__(self, context, raw, host):
            self._tls = context.wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False)
            self.pollable = self._tls  # wrapping has taken the descriptor away from `raw`
            self._is_established = False

        def write(self, data):
            try:
                return self._tls.send(data) if self._handshake() else None
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return None

        def read_into(self, buffer):
            try:
                return self._tls.recv_into(buffer) if self._handshake() else None
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return None

        def close(self):
            self._tls.close()

        def _handshake(self):
            if not self._is_established:
                self._tls.do_handshake()
                self._is_established = True
            return True
