"""TLS streams that never block, on both interpreters, and never without verification.

A stream has write(data) -> bytes taken, or None for "not now, ask again with the same bytes"; read_into(buffer)
-> bytes, None for "nothing yet", 0 for the end; close(); and `pollable`, what to wait for once read_into has
said None. The handshake goes on inside these calls.
"""

from fieldpost.compat import is_micropython

if is_micropython:
    import tls

    def client_context(ca_der):
        """Return a context that trusts exactly one root (DER bytes)."""
        context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        # The frozen `ssl` wrapper defaults to no verification at all; say it, whatever the default is.
        context.verify_mode = tls.CERT_REQUIRED
        context.load_verify_locations(ca_der)
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
    import ssl

    def client_context(ca_der):
        """Return a context that trusts exactly one root (DER bytes)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(cadata=bytes(ca_der))
        assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname
        return context

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
